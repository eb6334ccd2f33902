"""The other frameworks, each in a process of its own: see `torch_impl.bench.worker`."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from torch_impl.bench.workloads import Workload

# What `--against all` means. TensorFlow is measured by the graph code of tf_reference, known by its name alone.
RIVALS = ("tf_reference", "jax", "keras-tensorflow", "keras-jax", "keras-torch")
LIMIT_S = 300.0


class LeftOutError(Exception):
    """Why a rival cannot take part, or no longer, in one sentence. name: the rival's."""

    name = ""


def _home() -> tempfile.TemporaryDirectory[str]:
    """A folder that holds this project's packages and nothing else: where they are installed among others, another
    interpreter would find this one's NumPy beside them."""
    folder = tempfile.TemporaryDirectory(prefix="unrolled-bench-")
    for name in ("unrolled", "tf_reference", "torch_impl"):
        (Path(folder.name) / name).symlink_to(Path(__file__).resolve().parents[2] / name, target_is_directory=True)
    return folder


class Rival:
    """One framework with one workload. name: one of RIVALS, with @PYTHON after it where another interpreter has it."""

    def __init__(self, name: str, workload: Workload, threads: int) -> None:
        """Raises LeftOutError."""
        self.name = name
        module, _, python = name.partition("@")
        if module not in RIVALS:
            raise LeftOutError(f"unknown; the others are {', '.join(RIVALS)}")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
        self._home = _home()
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [self._home.name, os.environ.get("PYTHONPATH")]))
        environment["OMP_NUM_THREADS"] = str(threads)
        command = [python or sys.executable, str(Path(__file__).with_name("worker.py"))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            self._process = subprocess.Popen(command, text=True, env=environment, **pipes)  # type: ignore[call-overload]
        except OSError as error:
            self._home.cleanup()
            raise LeftOutError(f"{command[0]} cannot be run ({error.strerror})") from None
        try:
            answer = self._ask({"rival": module, "workload": workload._asdict(), "threads": threads})
            if "left_out" in answer:
                raise LeftOutError(answer["left_out"])
        except LeftOutError:
            self.close()
            raise
        self.version = answer["version"]

    def __call__(self, steps: int) -> float:
        """Seconds of that many training steps. Raises LeftOutError when the process has ended."""
        return float(self._ask({"steps": steps})["seconds"])

    def _ask(self, question: dict[str, object]) -> dict[str, str]:
        try:
            return self._answer(question)
        except LeftOutError as error:
            error.name = self.name
            raise

    def _answer(self, question: dict[str, object]) -> dict[str, str]:
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise LeftOutError(f"its process ended with status {self._process.wait()}") from None
        if os.name != "nt" and not select.select([self._process.stdout], [], [], LIMIT_S)[0]:
            raise LeftOutError(f"no answer within {LIMIT_S:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise LeftOutError(f"its process ended with status {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self._home.cleanup()
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> Rival:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
