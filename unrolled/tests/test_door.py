"""The command `unrolled`: the rooms' commands, nothing imported before one runs, completion, versions."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from unrolled.__main__ import main
from unrolled.tests.hiding import ROOT

HEAVY = ("torch", "tensorflow", "keras", "jax", "numba", "matplotlib", "scipy", "pandas", "pytest")


def call(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("asked", [["-h"], ["train", "mnist", "-h"], ["compare", "-h"], ["--version"]])
def test_help_imports_no_framework(asked):
    code = "import sys\nfrom unrolled.__main__ import main\nmain(%r, standalone_mode=False)\n" % asked
    code += "print('heavy:', *[name for name in %r if name in sys.modules])" % (HEAVY,)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "heavy:" and len(done.stdout.splitlines()) > 1


def test_each_command_is_the_rooms_own():
    from spec_tests.__main__ import main as spec
    from torch_impl.__main__ import make_group

    listed = call("-h").stdout
    names = {*spec.commands, *make_group().commands}
    assert {"train", "convert", "compare", "conform"} <= names
    assert not set(spec.commands) & set(make_group().commands)  # or one would hide the other
    for name in [*names, "tf_reference", "completion"]:
        assert re.search(r"^  %s\b" % name, listed, re.M), name
    for words in (["train", "series", "-h"], ["convert", "-h"]):
        own = CliRunner().invoke(make_group(), words, prog_name="unrolled").stdout
        assert CliRunner().invoke(main, words, prog_name="unrolled").stdout == own
    assert "Usage: main tf_reference train mnist" in call("tf_reference", "train", "mnist", "-h").stdout.replace(
        "unrolled", "main"
    )


def test_a_command_that_is_not_there_is_one_sentence():
    done = call("trian")
    assert done.exit_code == 2 and "No such command 'trian'" in done.stderr and "Traceback" not in done.output


def test_versions_are_told():
    assert re.fullmatch(r"unrolled [^\n(]+ \(Python 3\.\d+\.\S+, [^\n]*numpy \d[^\n]*\)\n", call("--version").stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell):
    assert "_UNROLLED_COMPLETE" in call("completion", shell).stdout
    words = {"COMP_WORDS": "unrolled train classifier --keep", "COMP_CWORD": "3" if shell != "fish" else "--keep"}
    environment = {**os.environ, **words, "PYTHONPATH": str(ROOT), "_UNROLLED_COMPLETE": shell + "_complete"}
    command = [sys.executable, "-m", "unrolled"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert "--keep-best" in done.stdout, done.stderr


def test_another_shell_is_refused_in_a_sentence():
    assert "'tcsh' is not one of 'bash', 'fish', 'zsh'" in call("completion", "tcsh").stderr
