"""Options from a file: TOML, YAML or JSON, a flat table of option names and values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from unrolled.reading import read_whole

__all__ = ["read_options"]

_MOST_BYTES = 1 << 14  # far beyond all options; and the reader of TOML takes memory by the square of a key's parts


def read_options(path: Path) -> dict[str, Any]:
    """The file's table; its suffix says what it is. Ends the command with one sentence when it cannot be read."""
    reader = {".toml": _toml, ".yaml": _yaml, ".yml": _yaml, ".json": _json}.get(path.suffix.lower())
    if reader is None:
        raise click.ClickException(f"{path}: ends in {path.suffix!r}, expected .toml, .yaml, .yml or .json")
    try:
        found = reader(read_whole(path, _MOST_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise click.ClickException(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:  # what every one of these readers raises, and the decoding
        reason = " ".join(str(error).split())
        raise click.ClickException(f"{path}: is not valid {path.suffix[1:].upper()} ({reason:.200})") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise click.ClickException(f"{path}: holds no table of options, such as epochs = 10")
    return found


def _toml(text: str) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise click.ClickException(
            "YAML needs PyYAML, which is not installed; pip install 'unrolled[yaml]', or write the file as TOML"
        ) from error

    class Loader(yaml.SafeLoader):
        """Without aliases: a few lines of them can stand for more than any memory holds."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.events.AliasEvent):
                raise yaml.YAMLError("it has an alias; write the value out")
            return super().compose_node(parent, index)

    try:
        return {} if (found := yaml.load(text, Loader)) is None else found
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _json(text: str) -> Any:
    return json.loads(text)
