"""Names out of files (classes, columns, variables, paths) on a terminal or a page. Standard library alone."""

from __future__ import annotations

__all__ = ["shown", "shown_lines"]


def shown(name: object) -> str:
    r"""A name as it may be shown: what is not printable becomes its escape, such as \x1b, \n or \u202e.

    A control sequence in it would be obeyed by a terminal, a mark of direction would turn round what follows, and half
    a character cannot be written at all.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def shown_lines(text: str) -> str:
    """Text of several lines likewise: the ends of its lines stay."""
    return text if text.isprintable() else "\n".join(map(shown, text.split("\n")))
