"""`python -m spec_tests`: the commands of the shared spec. Each lives in a module of its own."""

from __future__ import annotations

import click

from spec_tests.chapter.page import chapter
from spec_tests.conformance.command import conform
from spec_tests.study.command import compare, report
from unrolled.command_line.door import Door


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Hold backends to one spec, and compare them."""


main.add_command(conform)
main.add_command(compare)
main.add_command(report)
main.add_command(chapter)


if __name__ == "__main__":
    main(prog_name="python -m spec_tests")
