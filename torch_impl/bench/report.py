"""The whole measurement, as plain values, and its tables."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tabulate import tabulate

from torch_impl.bench.contestants import BF16, LOOP, OURS, PYTORCH, contestant
from torch_impl.bench.inference import CELL, ONNX, inference
from torch_impl.bench.measuring import Timed, geometric_mean, in_turns, product_rate, ratio, timed
from torch_impl.bench.memory import peak_of
from torch_impl.bench.rivals import LeftOutError, Rival
from torch_impl.bench.workloads import BATCHES, CELLS, INFERENCE, PROGRAMS, STEPS, UNITS, Workload, grid
from torch_impl.unrolling.paths import PATHS, missing_compiler, wanted_path

PROFILED_STEPS = 2000  # steps over time: the profiler keeps every operator of each
# Where a step's memory is compared: the programs, and the largest cell of the grid.
LARGEST = tuple(grid((150,), (256,), (400,)))


class Settings(NamedTuple):
    """What to measure: parts of "programs", "inference", "grid", "profile" and "memory"; names of rivals; of programs,
    none for all; whether every path and bf16; the grid's sizes by "batch", "units", "steps" and "cell" where not all;
    and how."""

    parts: tuple[str, ...]
    rivals: tuple[str, ...]
    programs: tuple[str, ...]
    paths: bool
    sizes: Mapping[str, tuple[int, ...]]
    rounds: int
    sample_s: float
    threads: int | None


def measure(settings: Settings, tell: Callable[[str], Any]) -> dict[str, Any]:
    """The figures: "machine", and for each part a list of rows. tell is called with what is about to be done.

    Raises ValueError where UNROLLED_PATH is none of the paths.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    threads = torch.get_num_threads()
    wanted_path()  # UNROLLED_PATH, before anything else is said
    tell("the machine's rate of matrix products")
    rate = product_rate()
    figures: dict[str, Any] = {"machine": _machine(rate, threads), "rounds": settings.rounds, "left_out": {}}
    paths = PATHS if settings.paths else ()
    if "programs" in settings.parts:
        figures["programs"] = [
            row
            for workload in PROGRAMS
            if not settings.programs or workload.name in settings.programs
            for row in _program(workload, settings, paths, threads, rate, tell, figures)
        ]
    if "inference" in settings.parts:
        figures["inference"] = [
            row for workload in INFERENCE for row in _inference(workload, settings, threads, rate, tell, figures)
        ]
    if "grid" in settings.parts:
        sizes: Any = [
            settings.sizes.get(n, all_)
            for n, all_ in (("batch", BATCHES), ("units", UNITS), ("steps", STEPS), ("cell", tuple(CELLS)))
        ]
        figures["grid"] = [_cell(workload, settings, paths, rate, tell) for workload in grid(*sizes)]
    if "profile" in settings.parts:
        figures["profile"] = _profiles(tell)
    if "memory" in settings.parts:
        figures["memory"] = []
        for workload in (*PROGRAMS, *LARGEST):
            tell(f"peak memory: {workload.name}")
            peaks = {name: peak_of(name, workload, threads) for name in (OURS, PYTORCH)}
            figures["memory"].append({"workload": workload.name, "bytes": peaks})
    return figures


def _profiles(tell: Callable[[str], Any]) -> list[dict[str, Any]]:
    reason = missing_compiler()
    if reason is not None:
        raise ValueError(f"the profile needs Numba, but {reason}")
    from torch_impl.bench.profiling import profiled

    found = []
    for workload in filter(lambda workload: workload.simple, PROGRAMS):
        tell(f"profile: {workload.name}")
        found += [
            profiled(name, workload, max(1, PROFILED_STEPS // workload.steps)) for name in (PYTORCH, "bptt", OURS)
        ]
    return found


def _machine(rate: float, threads: int) -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "threads": threads,
        "products_per_s": rate,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.platform(terse=True),
    }


def _program(
    workload: Workload,
    settings: Settings,
    paths: tuple[str, ...],
    threads: int,
    rate: float,
    tell: Callable[[str], Any],
    figures: dict[str, Any],
) -> list[dict[str, Any]]:
    extra = (*paths, BF16) if paths and not workload.lengths else paths
    extra = (LOOP, *extra) if workload.cell == "gru" else extra
    versions = dict.fromkeys((OURS, PYTORCH, *extra), f"PyTorch {torch.__version__}")
    work: dict[str, Timed] = {name: timed(contestant(name, workload)) for name in versions}
    with contextlib.ExitStack() as stack:
        for name in settings.rivals:
            tell(f"{workload.name}: starting {name}")
            try:
                rival = stack.enter_context(Rival(name, workload, threads))
                rival(1)
            except LeftOutError as error:
                figures["left_out"][name] = str(error)
                continue
            versions[name], work[name] = rival.version, rival
        seconds = _in_turns(workload.name, work, settings, tell, figures)
    return _rows(workload, seconds, versions, rate)


def _inference(
    workload: Workload,
    settings: Settings,
    threads: int,
    rate: float,
    tell: Callable[[str], Any],
    figures: dict[str, Any],
) -> list[dict[str, Any]]:
    names = (OURS, PYTORCH, *((CELL,) if workload.kind == "stream" else ()))
    work = {name: timed(inference(name, workload, threads)) for name in names}
    versions = dict.fromkeys(names, f"PyTorch {torch.__version__}")
    try:
        work[ONNX] = timed(inference(ONNX, workload, threads))
        versions[ONNX] = version(ONNX)
    except LeftOutError as error:
        figures["left_out"][ONNX] = str(error)
    tell(f"inference: {workload.name}")
    return _rows(workload, in_turns(work, settings.rounds, settings.sample_s), versions, rate)


def _rows(
    workload: Workload, seconds: Mapping[str, list[float]], versions: Mapping[str, str], rate: float
) -> list[dict[str, Any]]:
    return [
        {"program": workload.name, "contestant": name, "version": versions[name], **_row(workload, name, seconds, rate)}
        for name in seconds
    ]


def _in_turns(
    program: str, work: dict[str, Timed], settings: Settings, tell: Callable[[str], Any], figures: dict[str, Any]
) -> dict[str, list[float]]:
    """`in_turns`, begun anew without a rival that gives up on the way."""
    while True:
        tell(f"{program}: {', '.join(work)}")
        try:
            return in_turns(work, settings.rounds, settings.sample_s)
        except LeftOutError as error:
            del work[error.name]
            figures["left_out"][error.name] = f"{program}: {error}"


def _cell(
    workload: Workload, settings: Settings, paths: tuple[str, ...], rate: float, tell: Callable[[str], Any]
) -> dict[str, Any]:
    tell(f"cell, batch x steps x units: {workload.name}")
    names = (OURS, PYTORCH, *(path for path in paths if path != "native"))
    seconds = in_turns({name: timed(contestant(name, workload)) for name in names}, settings.rounds, settings.sample_s)
    return {
        "batch": workload.batch,
        "steps": workload.steps,
        "units": workload.units,
        "cell": workload.cell,
        "contestants": {name: _row(workload, name, seconds, rate) for name in names},
    }


def _row(workload: Workload, name: str, seconds: Mapping[str, list[float]], rate: float) -> dict[str, Any]:
    """Median seconds per step, PyTorch's time by this contestant's, this one's by this library's, and share of rate."""
    median = sorted(seconds[name])[len(seconds[name]) // 2]
    return {
        "seconds": median,
        "over_ours": ratio(seconds[name], seconds[OURS])._asdict(),
        "pytorch_over_this": ratio(seconds[PYTORCH], seconds[name])._asdict(),
        "share_of_products": workload.multiply_adds() / median / rate,
    }


def tables(figures: dict[str, Any]) -> str:
    """The figures as text."""
    machine = figures["machine"]
    parts = [
        f"{machine['cpu']}, {machine['threads']} threads, float32; PyTorch {machine['torch']}; "
        f"matrix products {machine['products_per_s'] / 1e9:.0f} thousand million multiply-adds per second; "
        f"{figures['rounds']} rounds"
    ]
    parts += [f"left out {name}: {reason}" for name, reason in figures["left_out"].items()]
    if "programs" in figures:
        parts.append(_programs_table("training step", figures["programs"]))
    if "inference" in figures:
        parts.append(_programs_table("without a graph", figures["inference"]))
    if "grid" in figures:
        parts.append(_grid_table(figures["grid"]))
    if "profile" in figures:
        parts += [_profile_table(row) for row in figures["profile"]]
    if "memory" in figures:
        parts.append(_memory_table(figures["memory"]))
    return "\n\n".join(parts)


def _spread(found: Mapping[str, float]) -> str:
    return f"{found['median']:.2f} ({found['low']:.2f} to {found['high']:.2f})"


def _programs_table(what: str, rows: list[dict[str, Any]]) -> str:
    header = [what, "", "ms", "times unrolled (quartiles)", "of products"]
    body = [
        [
            row["program"],
            f"{row['contestant']} ({row['version']})",
            f"{1e3 * row['seconds']:.3f}",
            "" if row["contestant"] == OURS else _spread(row["over_ours"]),
            f"{row['share_of_products']:.0%}",
        ]
        for row in rows
    ]
    return tabulate(body, header, disable_numparse=True, tablefmt="github")


def _grid_table(cells: list[dict[str, Any]]) -> str:
    names = [name for name in cells[0]["contestants"] if name not in (OURS, PYTORCH)]
    header = ["cell", "batch", "steps", "units", "ms", "torch.nn ms", "torch.nn / unrolled (quartiles)", "of products"]
    body = []
    for cell in cells:
        found = cell["contestants"]
        body.append(
            [str(cell[name]) for name in ("cell", "batch", "steps", "units")]
            + [f"{1e3 * found[name]['seconds']:.3f}" for name in (OURS, PYTORCH)]
            + [_spread(found[PYTORCH]["over_ours"]), f"{found[OURS]['share_of_products']:.0%}"]
            + [f"{found[name]['pytorch_over_this']['median']:.2f}" for name in names]
        )
    ratios = [cell["contestants"][PYTORCH]["over_ours"]["median"] for cell in cells]
    text = tabulate(body, header + [f"torch.nn / {name}" for name in names], disable_numparse=True, tablefmt="github")
    mean = geometric_mean(ratios)
    return f"{text}\n\nForward and backward, torch.nn / unrolled: least {min(ratios):.2f}, geometric mean {mean:.2f}."


def _profile_table(row: dict[str, Any]) -> str:
    whole = row["milliseconds"]
    header = [f"{row['program']}: {row['contestant']}, one thread", "ms", "share"]
    body = [[group, f"{ms:.3f}", f"{ms / whole:.0%}"] for group, ms in row["by_group"].items()]
    body.append(["a whole step", f"{whole:.3f}", ""])
    return tabulate(body, header, disable_numparse=True, tablefmt="github")


def _memory_table(rows: list[dict[str, Any]]) -> str:
    def text(size: int | None) -> str:
        return "not measured" if size is None else f"{size / 2**20:.1f} MiB"

    header = ["peak memory of a training step", OURS, PYTORCH]
    body = [[row["workload"], text(row["bytes"][OURS]), text(row["bytes"][PYTORCH])] for row in rows]
    return tabulate(body, header, disable_numparse=True, tablefmt="github")
