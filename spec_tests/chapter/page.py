"""The chapter as a page: each program in TensorFlow 1 and in PyTorch, taken from the source that the tests run.

`python -m spec_tests chapter` writes CHAPTER.md; with --html the same as one page that needs nothing else.
"""

from __future__ import annotations

import ast
import base64
import html
import importlib
import re
from pathlib import Path

import click

from spec_tests.chapter.sections import BEYOND, PROGRAMS, Section
from spec_tests.differences import differences

__all__ = ["as_html", "as_markdown", "chapter"]

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"TensorFlow 1": "tf_reference", "PyTorch": "torch_impl"}
TITLE = "The chapter, side by side"
INTRODUCTION = (
    "You know one of the two frameworks and want to read the other. Eight programs in the order of the chapter, then "
    "what comes after it, each in TensorFlow 1 and in PyTorch: the bodies of functions in "
    "[`tf_reference/chapter.py`](tf_reference/chapter.py) and [`torch_impl/chapter.py`](torch_impl/chapter.py), which "
    "the tests run on the same weights and hold to the oracle. `weights` are TensorFlow's variables by name."
)
BEYOND_TITLE = "Beyond the chapter"


def code(room: str, name: str) -> str:
    """A function of ROOM/chapter.py as it stands there, without annotations in its first line."""
    source = (ROOT / room / "chapter.py").read_text("utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            lines = source.splitlines()[node.body[0].lineno - 1 : node.end_lineno]
            return "def %s(%s):\n%s" % (name, ", ".join(each.arg for each in node.args.args), "\n".join(lines))
    raise LookupError("%s/chapter.py has no function %s" % (room, name))


def shown(program: str) -> str:
    """What `python -m torch_impl show PROGRAM` prints; `tf_reference` prints the same digits."""
    from click.testing import CliRunner

    group = importlib.import_module("torch_impl.__main__").make_group()
    result = CliRunner().invoke(group, ["show", program], catch_exceptions=False)
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def difference(number: int) -> tuple[str, str]:
    """A difference's title, and the link to it."""
    found = {each.number: each for each in differences()}
    if number not in found:
        raise LookupError("spec_tests/DIFFERENCES.md has no number %d" % number)
    return found[number].title, "spec_tests/DIFFERENCES.md#" + found[number].anchor


def _printed(section: Section) -> tuple[str, str]:
    """The command, and what it prints; two empty strings for a section that prints nothing."""
    if section.show:
        return "python -m torch_impl show " + section.show, shown(section.show)
    return section.printed[0], section.printed[1].strip()


def _sides(section: Section) -> list[str]:
    return [code(room, section.name) for room in SIDES.values()]


def _numbered() -> list[tuple[str, Section]]:
    programs = [("%d. %s" % (number, each.title), each) for number, each in enumerate(PROGRAMS, 1)]
    return programs + [(each.title, each) for each in BEYOND]


def as_markdown() -> str:
    """CHAPTER.md."""
    parts = [
        "<!-- Written by `python -m spec_tests chapter`; change what it is made of. -->",
        "# " + TITLE,
        INTRODUCTION,
    ]
    for title, section in _numbered():
        if section is BEYOND[0]:
            parts.append("## " + BEYOND_TITLE)
        parts += [("## " if section in PROGRAMS else "### ") + title, section.teaches]
        heads = "".join("<th>%s</th>" % side for side in SIDES)
        cells = ['<td valign="top">\n\n```python\n%s\n```\n\n</td>' % each for each in _sides(section)]
        parts.append("<table>\n<tr>%s</tr>\n<tr>\n%s\n</tr>\n</table>" % (heads, "\n".join(cells)))
        if section.also:
            parts.append("```python\n%s\n```" % code("torch_impl", section.also))
        links = ", ".join("[%s](%s)" % difference(number) for number in section.differences)
        parts.append("**When porting.** %s See %s." % (section.watch, links))
        command, printed = _printed(section)
        if command:
            summary = "<summary>What <code>%s</code> prints</summary>" % html.escape(command)
            parts.append("<details>\n%s\n\n```\n%s\n```\n\n</details>" % (summary, printed))
        if section.picture[0]:
            parts.append("![%s](%s)" % section.picture[::-1])
    return "\n\n".join(parts) + "\n"


FILE = click.Path(dir_okay=False, path_type=Path)
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1280px; margin: 0 auto; padding: 0 16px; color: #1a1a1a }
p { max-width: 75ch }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 12px }
.sides > div { min-width: 0 }
h4 { margin: 8px 0 4px }
pre { background: #f4f4f2; padding: 10px; overflow-x: auto; font-size: 13px; line-height: 1.4; margin: 0 0 12px }
img { max-width: 100% }
details { margin-bottom: 12px }
pre span { display: block; min-height: 1.4em }
@media (max-width: 640px) {
  pre span { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px;
    padding-left: calc(1ch * (var(--deep) + 2)); text-indent: calc(-1ch * (var(--deep) + 2)) }
}
@media (prefers-color-scheme: dark) {
  body { background: #16181b; color: #e4e4e4 } pre { background: #22262b } a { color: #8ab4f8 } img { background: #fff }
}
"""


def _inline(text: str) -> str:
    """A sentence of a section in HTML: code between backticks, and links."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)


def _pre(text: str) -> str:
    return "<pre>%s</pre>" % html.escape(text, quote=False)


def _code(text: str) -> str:
    """Code whose long lines go on below on a phone, indented as they are."""
    lines = ((len(line) - len(line.lstrip()), html.escape(line, quote=False)) for line in text.splitlines())
    return "<pre>%s</pre>" % "".join('<span style="--deep: %d">%s</span>' % line for line in lines)


def as_html() -> str:
    """The same as one page, its pictures inside."""
    parts = ["<h1>%s</h1>" % TITLE, "<p>%s</p>" % _inline(INTRODUCTION)]
    for title, section in _numbered():
        if section is BEYOND[0]:
            parts.append("<h2>%s</h2>" % BEYOND_TITLE)
        level = "h2" if section in PROGRAMS else "h3"
        parts += ["<%s>%s</%s>" % (level, _inline(title), level), "<p>%s</p>" % _inline(section.teaches)]
        sides = ["<div><h4>%s</h4>%s</div>" % (side, _code(each)) for side, each in zip(SIDES, _sides(section))]
        parts.append('<div class="sides">%s</div>' % "".join(sides))
        if section.also:
            parts.append(_code(code("torch_impl", section.also)))
        links = ", ".join("[%s](%s)" % difference(number) for number in section.differences)
        parts.append("<p><b>When porting.</b> %s</p>" % _inline("%s See %s." % (section.watch, links)))
        command, printed = _printed(section)
        if command:
            summary = "<summary>What <code>%s</code> prints</summary>" % html.escape(command)
            parts.append("<details>%s%s</details>" % (summary, _pre(printed)))
        if section.picture[0]:
            kind = "svg+xml" if section.picture[0].endswith(".svg") else "png"
            drawn = base64.b64encode((ROOT / section.picture[0]).read_bytes()).decode()
            parts.append(
                '<img src="data:image/%s;base64,%s" alt="%s">' % (kind, drawn, html.escape(section.picture[1]))
            )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title>' % TITLE
    return '<!doctype html><html lang="en"><head>%s<style>%s</style></head><body>\n%s\n</body></html>\n' % (
        head,
        STYLE,
        "\n".join(parts),
    )


@click.command("chapter", short_help="Write the chapter, TensorFlow 1 and PyTorch side by side.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("CHAPTER.md"), show_default=True
)
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Instead, one HTML page.")
def chapter(output: Path, page: Path | None) -> None:
    """Write the chapter's programs, in TensorFlow 1 and in PyTorch, beside each other, as Markdown or as one page.

    PyTorch is needed, since what the small programs print is asked of them.
    """
    if not (ROOT / PROGRAMS[-1].picture[0]).is_file():
        raise click.ClickException("an installed package has no pictures; run this in a clone of the repository")
    target, text = (output, as_markdown()) if page is None else (page, as_html())
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException("%s cannot be written: %s" % (target, error.strerror)) from error
    click.echo("Wrote %s." % target)
