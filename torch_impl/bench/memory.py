"""The peak memory of a training step, in a process of its own: python -m torch_impl.bench.memory '{"name": ...}'.

The resident memory of the process, which includes what NumPy and compiled code take: its peak over some steps, less
what there was before them, when all code had run once on a few small rows. Linux only (/proc).
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import subprocess
import sys
from pathlib import Path

from torch_impl.bench.workloads import Workload

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_of(name: str, workload: Workload, threads: int) -> int | None:
    """Bytes that one contestant's training step takes at its peak; None where that cannot be measured."""
    if not _CLEAR.exists():
        return None
    question = json.dumps({"name": name, "workload": workload._asdict(), "threads": threads})
    command = [sys.executable, "-m", "torch_impl.bench.memory", question]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    return int(answer.stdout)


def _bytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found.group(1))


def main() -> None:
    question = json.loads(sys.argv[1])
    workload = Workload(**question["workload"])
    import torch

    from torch_impl.bench.contestants import contestant

    torch.set_num_threads(question["threads"])
    contestant(question["name"], workload._replace(batch=2, steps=4, rows=2))(2)  # lengths: a quarter of the steps
    work = contestant(question["name"], workload)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    _CLEAR.write_text("5")  # the peak begins anew
    before = _bytes("VmRSS")
    work(3)
    print(_bytes("VmHWM") - before)


if __name__ == "__main__":
    main()
