"""Runs the blocks of a page in order, as a reader would who has the files that it speaks of.

A block without a mark runs in the page's scratch folder: ```sh line by line in bash, ```python after the page's earlier
ones. Training takes few steps, on few of MNIST's images: `SMALL` is added to its options. A comment above a block says
what else there is:

    <!-- needs: a GPU -->            not run, for it needs what is named
    <!-- with: onnx, onnxruntime --> run, as the rest of its page is, where these modules are installed
    <!-- file: mine.py -->           a file of that name, written
    <!-- test: path/to/test.py -->   run by that test; path/to/test.py::test_name where one does alone
    <!-- main command -->, <!-- test command -->   run by .ci/run and by the study's own tests
"""

from __future__ import annotations

import gzip
import importlib.util
import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import numpy as np

from spec_tests.tests.processes import ROOT

OURS = ("unrolled", "torch_impl", "tf_reference", "spec_tests")
SMALL = {
    "mnist": "--epochs 1 --units 8 --data digits-small --validation-size 20",
    "speller": "--epochs 1 --units 8 --data digits-small --validation-size 20",
    "vowels": "--epochs 1 --units 8 --seeds 1",
    "series": "--iterations 200 --units 8",
    "classifier": "--epochs 1 --units 8",
    "regressor": "--epochs 1 --units 8",
}
MARK = re.compile(r"<!-- (?:(needs|with|file|test): ([^>]{3,}?)|(main|test) command) -->\n\Z")
# Its blocks are told by network and framework: `torch_impl.tests.porting`.
PORTING = re.compile(r"<!-- [\w ]+: [\w. ]+ -->\n\Z")
PRELOADED = ["torch_impl.runs.train", "torch_impl.training.whole_steps", "matplotlib.figure", "numba"]
SHIM = '#!/bin/sh\nexec "%s" %s "$@"\n'


class Block(NamedTuple):
    language: str
    text: str
    mark: str  # "needs", "with", "file", "test", or "" where there is none
    value: str
    line: int

    def commands(self) -> list[list[str]]:
        """The words of each line of a block of shell."""
        lines = [shlex.split(line, comments=True) for line in self.text.replace("\\\n", " ").splitlines()]
        return [line for line in lines if line]


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text("utf-8")
    for found in re.finditer(r"^```(sh|python)\n(.*?)^```", text, re.S | re.M):
        above = text[: found.start()]
        mark = MARK.search(above)
        kind, value = (mark[1] or "test", mark[2] or ".ci/run") if mark else ("", "")
        if not mark and page == "torch_impl/FROM_TENSORFLOW.md" and PORTING.search(above):
            kind, value = "test", "torch_impl/tests/test_porting.py"
        yield Block(found[1], found[2], kind, value, above.count("\n") + 1)


def missing(block: Block) -> list[str]:
    """The modules that a block names and that are not installed."""
    names = re.split(r",\s*", block.value) if block.mark == "with" else []
    return [name for name in names if importlib.util.find_spec(name) is None]


def ours(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(room, its arguments) for every call of one of our command lines, up to an operator of the shell."""
    for place, word in enumerate(words):
        if word in OURS and (words[place - 1] == "-m" if place else word == "unrolled"):
            ends = [at for at, other in enumerate(words) if at > place and other in ("&&", "|", ";")]
            yield word, words[place + 1 : (ends or [len(words)])[0]]


def shorter(words: list[str]) -> list[str]:
    """The command with few steps where it trains anew: of an option that is given twice the last holds."""
    if "train" in words and "--resume" not in words:
        return words + shlex.split(SMALL[words[words.index("train") + 1]])
    return words


class Runner:
    """A scratch folder, and processes that start with PyTorch imported."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code = folder / "here", ""
        self.folder.mkdir(parents=True)
        shims = {"python": "", "pytest": "-m pytest -p unrolled.pytest_plugin -p no:cacheprovider"}
        for name, starts in {**shims, "unrolled": "-m unrolled"}.items():
            shim = folder / "bin" / name
            shim.parent.mkdir(exist_ok=True)
            shim.write_text(SHIM % (sys.executable, starts))
            shim.chmod(0o755)
        search = os.pathsep.join([str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {"PATH": search, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        self.processes: Any = multiprocessing.get_context("forkserver")
        self.processes.set_forkserver_preload(PRELOADED)

    def run(self, block: Block) -> None:
        """Raises AssertionError with what was printed where a block fails."""
        if block.mark == "file":
            (self.folder / block.value).write_text(block.text, "utf-8")
        elif block.language == "python":
            self.code += block.text
            self._call(["python", "-c", self.code], block)
        else:
            for words in block.commands():
                self._call(shorter(words), block)

    def _call(self, words: list[str], block: Block) -> None:
        log = self.folder.parent / "log"
        process = self.processes.Process(target=_child, args=(words, self.folder, log, self.environment))
        process.start()
        process.join(300)
        if process.exitcode is None:
            process.kill()
            raise AssertionError("line %d: %s: not done after 300 s" % (block.line, shlex.join(words)))
        said = log.read_text("utf-8", "replace")[-3000:]
        told = (block.line, shlex.join(words), process.exitcode, said)
        assert process.exitcode == 0, "line %d: %s: status %d\n%s" % told


def _child(words: list[str], folder: Path, log: Path, environment: dict[str, str]) -> None:
    """One command in the scratch folder, its output in the log; in this process where it is Python of ours."""
    os.environ.update(environment)
    os.chdir(folder)
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    operators = {"&&", "|", ";", ">", "&"} & set(words)
    if words[0] == "python" and words[1] == "-c":
        exec(compile(words[2], "<page>", "exec"), {"__name__": "__main__"})
    elif words[:2] == ["python", "-m"] and words[2] in OURS and not operators:
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    else:
        text = " ".join(word if word in operators else shlex.quote(word) for word in words)
        sys.exit(subprocess.run(["bash", "-c", text]).returncode)


def make_files(folder: Path) -> None:
    """The files of a reader's own that pages speak of."""
    random = np.random.RandomState(0)
    rows = np.cumsum(random.normal(size=(60, 20, 3)), axis=1) + np.arange(60)[:, None, None] % 3
    labels = np.arange(60) % 3
    for name in ("gestures.npz", "later.npz"):
        np.savez(str(folder / name), inputs=rows, labels=labels, lengths=random.randint(9, 21, 60))
    np.savez(str(folder / "new.npz"), inputs=rows[:5])
    for place, row in enumerate(rows):
        path = folder / "gestures" / "abc"[place % 3] / ("%d.csv" % place)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(str(path), row[: 10 + place % 10], delimiter=",")
    (folder / "digits-small").mkdir()
    for name, head, size in (("images-idx3", 16, 28 * 28), ("labels-idx1", 8, 1)):
        for part, count in (("train", 320), ("t10k", 100)):
            with gzip.open(str(ROOT / "data" / "mnist" / ("%s-%s-ubyte.gz" % (part, name)))) as stream:
                whole = stream.read(head + count * size)
            few = whole[:4] + count.to_bytes(4, "big") + whole[8:]
            (folder / "digits-small" / ("%s-%s-ubyte" % (part, name))).write_bytes(few)
    hours = np.arange(400)
    table = np.stack([50 + 9 * np.sin(hours / 24 * 2 * np.pi), 12 + random.normal(size=400)], axis=1)
    np.savetxt(str(folder / "power.csv"), table, delimiter=",", header="load,temperature", comments="")
    (folder / "digits.toml").write_text('seed = 3\noutput = "by-config"\n')
    if importlib.util.find_spec("PIL"):
        from PIL import Image

        (folder / "scans").mkdir()
        for number in range(3):
            pixels = random.randint(0, 256, (28, 28)).astype(np.uint8)
            Image.fromarray(pixels).save(str(folder / "scans" / ("%d.png" % number)))
    with zipfile.ZipFile(str(ROOT / "torch_impl" / "tests" / "files" / "tf1_zoo.zip")) as zoo:
        for name in zoo.namelist():
            stem, _, tail = name.partition(".")
            if stem == "contrib_relu" and tail != "npz":
                (folder / ("model.ckpt." + tail)).write_bytes(zoo.read(name))
