"""The command line and the import: quick help, a missing framework, a quiet standard error."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None\n"
DOOR = "import runpy; sys.argv = ['tf_reference', {}]; runpy.run_module('tf_reference', run_name='__main__')"


def python(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)


def test_help_needs_no_tensorflow() -> None:
    done = python("-c", NO_TENSORFLOW + DOOR.format("'--help'"))
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("show", "train"))


def test_missing_tensorflow_is_one_sentence_at_the_door() -> None:
    done = python("-c", NO_TENSORFLOW + DOOR.format("'show', 'two-step'"))
    assert done.returncode != 0
    assert "TensorFlow, which is not installed" in done.stderr and "unrolled[tf]" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_tf_keras_is_an_import_error_that_names_it() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed: pip install 'unrolled[tf]'")
    done = python("-c", "import sys; sys.modules['tf_keras'] = None; import tf_reference.tf1")
    assert done.stderr.splitlines()[-1].startswith("ImportError: TensorFlow")
    assert "pip install tf-keras" in done.stderr


def test_import_of_the_package_needs_no_tensorflow() -> None:
    done = python("-c", NO_TENSORFLOW + "import tf_reference")
    assert done.returncode == 0, done.stderr


def test_standard_error_stays_quiet_and_what_others_write_is_kept(tf: object) -> None:
    code = (
        "import os; import tf_reference.tf1 as t\nwith t._without_start_up_lines(): os.write(2, b'I0000 x\\nkept\\n')"
    )
    done = python("-c", code)
    assert done.stderr == "kept\n"
