"""Serves one backend to another process, over its standard input and output, in the frames of PROTOCOL.md.

The suite starts it under the other interpreter (see `remote`), where Unrolled is not installed: its first argument is a
JSON object, package name -> folder, of the packages that it may import from the suite's side. Everything else comes
from that interpreter's own site-packages, or the current folder. Python 3.7 syntax, standard library and NumPy.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.abc
import importlib.util
import inspect
import json
import os
import select
import sys
import threading
import time
import traceback
import zlib
from typing import Any, Callable, Iterator

GRACE_S = 1.0  # for an orderly end once the parent has gone
WATCH_S = 1.0  # between two looks at the parent


class HandedOver(importlib.abc.MetaPathFinder):
    """Finds the given packages in the given folders, before anything else, and no other name."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if path is not None or name not in self._folders:
            return None
        folder = self._folders[name]
        start = os.path.join(folder, "__init__.py")  # noqa: PTH118 - what importlib takes is a string
        return importlib.util.spec_from_file_location(name, start, submodule_search_locations=[folder])


def main(arguments: list[str]) -> None:
    """Serve until the parent closes the pipe."""
    faulthandler.enable()  # a crash of compiled code leaves its last words on standard error
    requests, replies = _take_descriptors()
    sys.meta_path.insert(0, HandedOver(json.loads(arguments[0]) if arguments else {}))
    sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        from spec_tests.backends import wire
    except ImportError as error:
        sys.exit("%s cannot serve a backend: %s; it needs NumPy beside its framework" % (sys.executable, error))
    threading.Thread(target=end_with_parent, args=(requests,), daemon=True).start()
    with open(requests, "rb", buffering=0) as incoming, open(replies, "wb", buffering=0) as outgoing:  # noqa: PTH123
        try:
            Server(wire, _reader(incoming), _writer(outgoing)).serve()
        except wire.FrameError as error:
            sys.exit("the suite sent what is no request: %s" % error)
        except (EOFError, BrokenPipeError):
            return


def _take_descriptors() -> tuple[int, int]:
    """The pipes, under numbers of their own. What prints to standard output reaches standard error instead."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, replies


def end_with_parent(pipe: int) -> None:
    """End this process soon after its parent, also in the middle of a call: then nobody wants the answer."""
    parent, poll = os.getppid(), select.poll()
    poll.register(pipe, 0)  # that its other end has gone is always reported
    while not poll.poll(WATCH_S * 1000) and os.getppid() == parent:
        pass
    time.sleep(GRACE_S)
    os._exit(0)


def _reader(stream: Any) -> Callable[[memoryview], None]:
    def read_into(buffer: memoryview) -> None:
        while len(buffer):
            count = stream.readinto(buffer)
            if not count:
                raise EOFError
            buffer = buffer[count:]

    return read_into


def _writer(stream: Any) -> Callable[[list[Any]], None]:
    def write(buffers: list[Any]) -> None:
        for each in buffers:
            buffer = memoryview(each)
            while len(buffer):
                buffer = buffer[stream.write(buffer) :]

    return write


class Server:
    """One backend, asked by frames. The first request opens it; each gets one reply."""

    def __init__(self, wire: Any, read_into: Callable[[memoryview], None], write: Callable[[list[Any]], None]) -> None:
        self._wire = wire
        self._read_into = read_into
        self._write = write
        self._backend: Any = None

    def serve(self) -> None:
        """Until the stream ends, with EOFError. Raises FrameError for what is no request."""
        while True:
            request = self._wire.read(self._read_into)
            number, method = request.get("id"), request.get("method")
            positional, named = request.get("args", []), request.get("kwargs", {})
            if not (isinstance(method, str) and isinstance(positional, list) and isinstance(named, dict)):
                raise self._wire.FrameError("message %r has no method with args and kwargs" % number)
            try:
                fields = {"result": self._answer(method, positional, named)}
            except Exception as error:
                fields = {"error": _described(error)}
            self._reply(number, method, fields)
            del request, positional, named, fields  # large arrays, while waiting for the next

    def _answer(self, method: str, positional: list[Any], named: dict[str, Any]) -> Any:
        if method == "open":
            return self._open(*positional, **named)
        if method == "task":
            return self._do(*positional, **named)
        function = getattr(self._backend.inner, method)
        given = _by_name(method, positional, named)
        before = dict(_prints(given))
        answer = function(*positional, **named)  # which is checked where it arrives
        after = dict(_prints(given))
        for name in dict(before, **after):  # here alone can it be seen: where the call came from are other arrays
            if before.get(name) != after.get(name):
                raise AssertionError("%s has modified %s, but no argument is ever modified" % (method, name))
        return answer

    def _do(self, module: str, name: str, arguments: dict[str, Any]) -> Any:
        """What a module of the suite does with the backend, here, so that it is measured here."""
        if not module.startswith("spec_tests."):
            raise ValueError("task: found the module %.60r, expected one of spec_tests" % module)
        return importlib.import_module(module).run(self._backend, name, arguments)

    def _open(self, name: str, device: str, methods: list[str]) -> dict[str, Any]:
        """Load the backend, and say what it is and which of the methods it has."""
        from spec_tests.backends import attributes, loading

        backend = self._backend = loading.load(name, device)
        return {
            "name": backend.name,
            "contract": backend.contract,
            "python": list(sys.version_info[:3]),
            "capabilities": sorted(backend.capabilities),
            "expected_failures": dict(backend.expected_failures),
            "differences": attributes.differences(backend),
            "describe": backend.describe(),
            "methods": [method for method in methods if callable(getattr(backend, method, None))],
        }

    def _reply(self, number: int, method: str, fields: dict[str, Any]) -> None:
        try:
            buffers = self._wire.pack(number, fields)
        except self._wire.UnsupportedValue as error:
            message = "%s returned what the protocol cannot carry: %s" % (method, error)
            buffers = self._wire.pack(number, {"error": {"kind": "UnsupportedValue", "message": message, "trace": ""}})
        self._write(buffers)


def _by_name(method: str, positional: list[Any], named: dict[str, Any]) -> dict[str, Any]:
    """The arguments by the contract's names."""
    from spec_tests.contract import Backend

    names = list(inspect.signature(getattr(Backend, method)).parameters)[1:]
    return dict(zip(names, positional), **named)


def _prints(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """(name, checksum) of each array in dicts and lists; nothing else that a method is given can be changed."""
    if isinstance(value, dict):
        for key in value:
            yield from _prints(value[key], "%s/%s" % (name, key) if name else str(key))
    elif isinstance(value, (list, tuple)):
        for number, each in enumerate(value):
            yield from _prints(each, "%s[%d]" % (name, number))
    elif hasattr(value, "tobytes"):
        yield name, zlib.crc32(memoryview(value).cast("B")) if value.size else 0


def _described(error: Exception) -> dict[str, str]:
    """kind: "ValueError" for every ValueError, since that is the contract's; otherwise the type's own name."""
    kind = "ValueError" if isinstance(error, ValueError) else type(error).__name__
    return {"kind": kind, "message": str(error), "trace": traceback.format_exc()}


if __name__ == "__main__":
    main(sys.argv[1:])
