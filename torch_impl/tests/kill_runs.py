"""Training runs killed with SIGKILL at random moments and resumed: python -m torch_impl.tests.kill_runs --runs 20.

Each run is killed --kills times, at any time from its first write to the folder on, and resumed; then it may finish,
and must be, bit for bit, the run that was never interrupted.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from torch_impl.checkpoints.run_files import checkpoint_names, load_checkpoint
from torch_impl.tests.training_runs import SERIES, assert_same_bits

__all__ = ["finish", "killed_run", "process"]

_TRAIN = (sys.executable, "-m", "torch_impl", "train")


def process(*arguments: str) -> subprocess.Popen[str]:
    """`python -m torch_impl train ARGUMENTS`, running."""
    return subprocess.Popen([*_TRAIN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def begun(arguments: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The arguments that begin a run, or go on with it where there is a checkpoint."""
    if checkpoint_names(folder):
        return arguments[0], "--resume", str(folder)
    return (*arguments, "--output", str(folder))


def _written(folder: Path) -> int:
    """When config.json was last written, the first thing of every start; 0 for never."""
    try:
        return (folder / "config.json").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def finish(*arguments: str) -> None:
    """Train to the end, in a process of its own."""
    running = process(*arguments)
    output, _ = running.communicate()
    if running.returncode != 0:
        raise AssertionError(f"status {running.returncode}: {output}")


def killed_run(
    arguments: tuple[str, ...], folder: Path, moments: list[float], train: Callable[..., object] = finish
) -> list[int]:
    """Begin a run, kill it so many seconds after each first write to its folder, then `train` its rest; the steps
    kept at each kill."""
    kept = []
    for moment in moments:
        before = _written(folder)
        running = process(*begun(arguments, folder))
        while _written(folder) == before and running.poll() is None:
            time.sleep(0.005)
        time.sleep(moment)
        running.kill()
        running.communicate()
        if running.returncode not in (-signal.SIGKILL, 0):
            raise AssertionError(f"status {running.returncode}")
        kept.append(int(load_checkpoint(folder).state["step"]) if checkpoint_names(folder) else -1)
    train(*begun(arguments, folder))
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=1, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("arguments", nargs="*", default=list(SERIES), help="of `train`, after --; not --output")
    options = parser.parse_args()
    arguments, moments = tuple(options.arguments), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as home:
        whole = Path(home, "whole")
        finish(*begun(arguments, whole))  # compiles what is compiled, once
        finish(*begun(arguments, whole.with_name("timed")))
        state = load_checkpoint(whole.with_name("timed")).state
        seconds = state["run"]["seconds"]
        print(f"uninterrupted: {state['step']} steps in {seconds:.1f} s", flush=True)
        same = 0
        for number in range(options.runs):
            folder = Path(home, str(number))
            times = [moments.uniform(0, seconds) for _ in range(options.kills)]
            kept = killed_run(arguments, folder, times)
            try:
                assert_same_bits(whole, folder)
                same += 1
                verdict = "same bits"
            except AssertionError as error:
                verdict = f"DIFFERS: {error}"
            shown = ", ".join(f"{at:.2f} s (kept step {step})" for at, step in zip(times, kept, strict=True))
            print(f"run {number}: killed after {shown}: {verdict}", flush=True)
    print(f"{same} of {options.runs} runs end with the bits of the uninterrupted one")
    sys.exit(same != options.runs)


if __name__ == "__main__":
    main()
