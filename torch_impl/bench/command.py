"""python -m torch_impl bench."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from torch_impl.checkpoints.errors import CheckpointError
from torch_impl.checkpoints.files import write_atomically

__all__ = ["bench"]

QUICK_GRID = {"batch": (1, 32), "units": (16, 150), "steps": (16, 100)}


def _sizes(flag: str, text: str) -> Callable[[Any], Any]:
    return click.option(flag, multiple=True, type=click.IntRange(min=1), metavar="N", help=text)


@click.command(short_help="Time training against PyTorch's own layers and other frameworks.")
@click.option(
    "--part",
    multiple=True,
    type=click.Choice(["programs", "inference", "grid", "memory", "profile"]),
    help="What to measure (repeatable); profile: where the time of a step goes.  [default: all but profile]",
)
@click.option(
    "--against",
    multiple=True,
    metavar="NAME",
    help="Another framework for the programs: tf_reference, jax, keras-tensorflow, keras-jax, keras-torch, each with "
    "@PYTHON after it where another interpreter has it; all; none (repeatable).  [default: all]",
)
@click.option(
    "--program",
    "programs",
    multiple=True,
    metavar="NAME",
    help='A program alone, such as mnist or "mnist lstm" (repeatable).  [default: all]',
)
@click.option(
    "--cell",
    multiple=True,
    type=click.Choice(["basic_rnn", "lstm", "gru", "gru_after"]),
    help="A cell of the grid (repeatable).  [default: all]",
)
@click.option(
    "--paths", is_flag=True, help="Time each path of torch_impl.unrolling.paths too, not only the chosen one, and bf16."
)
@_sizes("--batch", "A batch of the grid (repeatable).  [default: 1, 8, 32, 150]")
@_sizes("--units", "A number of units of the grid (repeatable).  [default: 16, 64, 150, 256]")
@_sizes("--steps", "A number of steps of the grid (repeatable).  [default: 16, 100, 400]")
@click.option("--rounds", type=click.IntRange(min=1), help="Turns that each contestant has.  [default: 15; 3 if quick]")
@click.option("--sample-ms", type=click.FloatRange(1), help="Milliseconds of one turn.  [default: 100; 20 if quick]")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of every contestant.  [default: all]")
@click.option("--quick", is_flag=True, help="Few and short turns, and few cells of the grid: to see that it works.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the figures here.",
)
@click.pass_context
def bench(context: click.Context, json_file: Path | None, **options: Any) -> None:
    """Time training steps on the CPU, float32: programs and a grid of shapes, against nn.RNN, nn.LSTM and nn.GRU with
    torch.optim.Adam(fused=True), TensorFlow, JAX and Keras 3 where they are installed; and inference, against the same
    layers in eval mode and onnxruntime.

    All take turns in one run. A ratio says how many times longer the other takes: the median over the turns, and their
    quartiles. "of products" is the share of the machine's rate of matrix products that a contestant reaches.
    """
    if json_file is not None and not json_file.parent.is_dir():
        raise click.BadParameter(f"the folder {json_file.parent} does not exist; create it first", param_hint="--json")
    names = _rivals(options["against"])
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # PyTorch's profiler would tell of each start and stop
    try:
        from torch_impl.bench.report import Settings, measure, tables
    except ImportError as error:
        raise click.ClickException(f"{error}; PyTorch is needed: pip install torch") from error
    quick = options["quick"]
    sizes = {
        name: options[name] or (QUICK_GRID.get(name) if quick else None) for name in ("batch", "units", "steps", "cell")
    }
    settings = Settings(
        parts=options["part"] or ("programs", "inference", "grid", "memory"),
        rivals=names,
        programs=_programs(options["programs"]),
        paths=options["paths"],
        sizes={name: size for name, size in sizes.items() if size},
        rounds=options["rounds"] or (3 if quick else 15),
        sample_s=(options["sample_ms"] or (20 if quick else 100)) / 1000,
        threads=options["threads"],
    )
    try:
        figures = measure(settings, lambda line: click.echo(line, err=True))
    except (ValueError, ModuleNotFoundError) as error:  # UNROLLED_PATH, no Numba
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        raise click.exceptions.Exit(130) from None
    click.echo(tables(figures))
    if json_file is not None:
        try:
            write_atomically(json_file, (json.dumps(figures, indent=1) + "\n").encode("utf-8"))
        except CheckpointError as error:
            raise click.ClickException(str(error)) from None


def _programs(names: tuple[str, ...]) -> tuple[str, ...]:
    from torch_impl.bench.workloads import PROGRAMS

    known = [workload.name for workload in PROGRAMS]
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(known)}", param_hint="--program")
    return names


def _rivals(against: tuple[str, ...]) -> tuple[str, ...]:
    from torch_impl.bench.rivals import RIVALS

    if not against or against == ("all",):
        return RIVALS
    if against == ("none",):
        return ()
    for name in against:
        if name.partition("@")[0] not in RIVALS:
            raise click.BadParameter(
                f"{name!r} is not one of {', '.join(RIVALS)}, nor all or none alone", param_hint="--against"
            )
    return tuple(dict.fromkeys(against))
