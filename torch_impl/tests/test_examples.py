"""The examples do what they say, as a reader runs them; each is a page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    *(ROOT / "torch_impl" / "examples" / f"{name}.py" for name in ("own_sequences", "own_module", "served_from_tf1")),
    ROOT / "spec_tests" / "examples" / "numpy_backend.py",  # the tests of the pages hold it to the suite
]


def example(folder: Path, name: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"torch_impl.examples.{name}", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_page(path: Path) -> None:
    assert 30 <= len(path.read_text("utf-8").splitlines()) <= 60


def test_own_sequences_are_learnt_and_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (the extra `onnx`)")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `onnx`)")
    accuracies = [float(each) for each in re.findall(r"unseen rows ([\d.]+)", example(tmp_path, "own_sequences", "."))]
    assert len(accuracies) == 3 and accuracies[-1] > 0.9
    session = runtime.InferenceSession(str(tmp_path / "waves.onnx"))
    feeds = {"inputs": np.zeros((2, 30, 1), np.float32), "lengths": np.array([30, 7])}
    assert session.run(["logits"], feeds)[0].shape == (2, 3)


def test_an_own_module_is_trained_saved_and_gone_on_with(tmp_path: Path) -> None:
    said = example(tmp_path, "own_module", "run")
    before, after, again = map(float, re.findall(r"(?:loss |before, )([\d.]+)", said))
    assert after < before - 0.3 and again < before - 0.3
    assert "right of the last 100 rows: 0." in said and (tmp_path / "run" / "last.json").exists()


def test_a_converted_checkpoint_is_served(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (the extra `onnx`)")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `onnx`)")
    from torch_impl.examples.served_from_tf1 import server, session_of

    name = "bidirectional_tagger"
    with zipfile.ZipFile(Path(__file__).parent / "files" / "tf1_zoo.zip") as zoo:
        zoo.extractall(tmp_path, [each for each in zoo.namelist() if each.startswith(name + ".")])
    with np.load(tmp_path / (name + ".npz")) as recorded:
        given = {key: recorded[key] for key in recorded.files}
    serving = server(session_of(str(tmp_path / name)), 0)
    threading.Thread(target=serving.serve_forever, daemon=True).start()

    def ask(data: bytes) -> Any:
        return json.load(urllib.request.urlopen(f"http://localhost:{serving.server_port}", data, timeout=60))

    asked = {key: given[key].tolist() for key in ("inputs", "lengths")}
    try:
        logits = np.array(ask(json.dumps(asked).encode())["logits"])
        valid = np.arange(6) < given["lengths"][:, None]  # past a length TensorFlow 1's logits are the bias
        np.testing.assert_allclose(logits[valid], given["outputs"][valid], atol=1e-5)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(b"{}")
    finally:
        serving.shutdown()
        serving.server_close()


def test_a_checkpoint_that_cannot_be_served_is_told_in_a_sentence(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `onnx`)")
    command = [sys.executable, "-m", "torch_impl.examples.served_from_tf1", str(tmp_path / "none")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and "Traceback" not in done.stderr


def test_what_is_served_unchecked_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed (the extra `onnx`)")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (the extra `onnx`)")
    from torch_impl.examples.served_from_tf1 import session_of

    with zipfile.ZipFile(Path(__file__).parent / "files" / "tf1_zoo.zip") as zoo:
        zoo.extractall(tmp_path, [each for each in zoo.namelist() if each.startswith("contrib_relu.")])
    graph = tmp_path / "contrib_relu.meta"
    graph.write_bytes(graph.read_bytes().replace(b"StridedSlice", b"StridedSlixe"))  # which cannot be computed
    session_of(str(tmp_path / "contrib_relu"))
    said = capsys.readouterr().out
    assert "NOT checked against TensorFlow" in said
