"""How to make the environments of a matrix again: for each Python what to install in it, and the one command."""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

from spec_tests.backends.loading import SHIPPED

# TensorFlow 1.15.5 is of 2021, and its own requirements admit what is too new for it.
OLD_TENSORFLOW = ["tensorflow==1.15.5", "protobuf<3.21", "numpy<1.19"]


class Environment(NamedTuple):
    """python: what the names have after their @; empty for the Python that runs the command."""

    python: str
    backends: list[str]
    lines: list[str]


def environments(results: dict[str, Any]) -> list[Environment]:
    """This Python's first, then each other's, in the order of the backends."""
    found: dict[str, dict[str, Any]] = {"": {}}
    for name, backend in results["backends"].items():
        found.setdefault(backend["asked"].partition("@")[2], {})[name] = backend
    return [
        Environment(python, list(backends), _lines(python, list(backends.values())))
        for python, backends in found.items()
    ]


def command(results: dict[str, Any], output: str) -> str:
    """What makes the same matrix."""
    asked = [backend["asked"] for backend in results["backends"].values()]
    words = ["python", "-m", "spec_tests", "conform", *(["--quick"] if results["left_out"] else [])]
    words += ["-k", results["expression"]] if results["expression"] else []
    words += ["--device", results["device"]] if results["device"] != "cpu" else []
    words += [word for name in asked for word in ("--backend", name)]
    return shlex.join([*words, "--keep", "kept", "--html", output])


def _lines(python: str, backends: list[dict[str, Any]]) -> list[str]:
    """An environment's commands. Another Python than the command's needs no more than what its backend imports."""
    wanted = list(dict.fromkeys(each for backend in backends for each in requirements(backend)))
    quoted = [shlex.quote(each) for each in wanted]
    if not python:
        return [" ".join(["pip install 'unrolled[test,report]'", *quoted])]
    version = re.match(r"\d+\.\d+", backends[0]["facts"].get("python", ""))
    folder = python.partition("/bin/")[0]
    install = " ".join(["pip", "install", *([] if any("numpy" in each for each in wanted) else ["numpy"]), *quoted])
    made = "python%s -m venv %s" % (version[0] if version else "3", shlex.quote(folder))
    return [made, "%s/bin/%s" % (shlex.quote(folder), install)]


def requirements(backend: dict[str, Any]) -> list[str]:
    """What a shipped backend needs, each in the version that it says it runs on, where it says one."""
    served, facts = backend["asked"].partition("@")[0], backend["facts"]
    if served not in SHIPPED:
        return []
    version = facts.get("version", "")
    if facts.get("framework") == "TensorFlow" and version.startswith("1."):
        return OLD_TENSORFLOW
    said = " ".join("%s %s" % fact for fact in facts.items()).lower()
    found = []
    for place, package in enumerate(SHIPPED[served].needs.values()):
        other = re.search(r"\b%s (\d[\w.]*)" % re.escape(package), said)
        pinned = version if not place else other[1] if other else ""
        found.append("%s==%s" % (package, pinned.partition("+")[0]) if pinned else package)
    return found
