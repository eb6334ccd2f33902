"""Pages from this package's templates: what goes into them is escaped, and a name that is missing is an error."""

from __future__ import annotations

import html
from typing import Any

from unrolled.showing import shown, shown_lines


def rendered(package: str, template: str, **given: Any) -> str:
    """A template that lies in a package, filled in.

    Raises ImportError where Jinja2 is not installed, ValueError for what the template cannot show.
    """
    import jinja2

    page = template.endswith(".html")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=page,
        finalize=_printable if page else _markdown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    try:
        return environment.get_template(template).render(**given)
    except jinja2.TemplateRuntimeError as error:
        raise ValueError(str(error)) from error


def markdown(text: str) -> str:
    """Text as Markdown shows it as it is, in one line: without HTML, and without a link to where it leads."""
    return html.escape(shown(text), quote=False).replace("](", "]\\(")


def _markdown(value: Any) -> Any:
    return markdown(value) if isinstance(value, str) else value


def _printable(value: Any) -> Any:
    """Markup, which is no plain str, stays."""
    return shown_lines(value) if type(value) is str else value
