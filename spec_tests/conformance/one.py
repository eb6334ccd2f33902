"""The suite over one backend, in a process of its own: `python -m spec_tests.conformance.one FD QUESTION`.

QUESTION is a JSON object: name, device, expression, the files of the suite, and left_out, the tests of them that are
not to be run (again). What happens is told on the file descriptor FD, a JSON value on each line: see `apart`, which
starts it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
from typing import Any

import pytest

from spec_tests import plugin
from spec_tests.backends.worker import end_with_parent
from spec_tests.results import outcome_of, reason_of, record_of
from unrolled import pytest_plugin
from unrolled.pytest_plugin import ROOT


class Teller:
    """A pytest plugin that hands the backend in, and tells what happens."""

    def __init__(self, stream: Any, selection: Any, left_out: list[str]) -> None:
        self._stream, self._selection, self._left_out = stream, selection, set(left_out)
        self._needs: dict[str, list[str]] = {}
        self.complaints: list[str] = []

    def tell(self, **message: Any) -> None:
        self._stream.write(json.dumps(message) + "\n")
        self._stream.flush()

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[plugin.SELECTION] = self._selection
        config.option.tbstyle = "line"  # what failed, not the code around it: that would take half of the time

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.complaints.append(report.longreprtext.strip().splitlines()[-1])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.nodeid not in self._left_out]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        titles: dict[str, str] = {}
        for item in session.items:
            self._needs[item.nodeid] = (record_of(item.user_properties) or {}).get("needs", [])
            title = (item.module.__doc__ or "").split("\n\n")[0] if isinstance(item, pytest.Function) else ""
            titles.setdefault(item.path.stem[len("test_") :], " ".join(title.split()))
        self.tell(total=len(session.items), titles=titles)

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        behaviour = os.path.basename(location[0])[len("test_") : -len(".py")]  # noqa: PTH119
        self.tell(begins=nodeid, behaviour=behaviour, test=location[2], needs=self._needs.get(nodeid, []))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record, outcome = record_of(report.user_properties), outcome_of(report)
        if record is not None and outcome:
            told = {key: record[key] for key in ("behaviour", "needs", "differences")}
            self.tell(ends=report.location[2], outcome=outcome, reason=reason_of(report, outcome), **told)


def main(arguments: list[str]) -> None:
    faulthandler.enable()  # where it crashed, or was when it was ended
    question = json.loads(arguments[1])
    threading.Thread(target=end_with_parent, args=(int(arguments[0]),), daemon=True).start()
    with os.fdopen(int(arguments[0]), "w", encoding="ascii") as stream:
        from spec_tests.backends import attributes, loading

        try:
            selection = loading.select([question["name"]], question["device"])
        except loading.BackendError as error:
            stream.write(json.dumps({"unusable": str(error)}) + "\n")
            return
        (backend,) = selection.backends
        teller = Teller(stream, selection, question["left_out"])
        teller.tell(
            backend=backend.name, facts=dict(backend.describe()), capabilities=sorted(backend.capabilities),
            description=plugin.description(backend), differences=attributes.differences(backend),
        )  # fmt: skip
        status = _run(teller, question["files"], question["expression"])
        teller.tell(status=int(status), complaints=teller.complaints)


def _run(teller: Teller, files: list[str], expression: str) -> int:
    # Neither the settings of the project that pytest is started in nor its terminal: only the suite and its results.
    options = ["-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "no:terminal"]
    options += ["-p", pytest_plugin.__name__, "-W", "default", *(["-k", expression] if expression else [])]
    os.environ.pop("PYTEST_ADDOPTS", None)
    return pytest.main([*options, *files], plugins=[teller])


if __name__ == "__main__":
    main(sys.argv[1:])
