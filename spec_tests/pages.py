"""Pages from this package's templates: HTML is escaped, Markdown is not, and a name that is missing is an error."""

from __future__ import annotations

from typing import Any


def rendered(package: str, template: str, **given: Any) -> str:
    """A template that lies in a package, filled in. Raises ImportError where Jinja2 is not installed."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**given)
