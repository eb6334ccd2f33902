"""How far right backends, and planted faults, drift apart in lockstep: the ground of `lockstep.FACTORS`.

python -m spec_tests.tests.drift_limits vowels-lstm --steps 90 --draws 2 --fault plain_adam_epsilon
"""

from __future__ import annotations

from typing import Any, Callable, cast

import click

from spec_tests.backends import loading
from spec_tests.oracle import faults
from spec_tests.study import lockstep, programs, work
from spec_tests.study.pieces import checkpoints
from spec_tests.study.store import Found

PERTURBATIONS = 2


def _moved(seed_of: Callable[[str], int], draw: int) -> Callable[[str], int]:
    return lambda name: seed_of(name) + draw


@click.command()
@click.argument("program", type=click.Choice(programs.PROGRAMS))
@click.option("--steps", default=90, show_default=True)
@click.option("--draws", default=1, show_default=True, help="Of weights and batches.")
@click.option("--dtype", "dtypes", multiple=True, default=("float32", "float64"), show_default=True)
@click.option("--backend", "names", multiple=True, default=("oracle", "torch_impl"), show_default=True)
@click.option("--fault", "planted", multiple=True, help="Of spec_tests.oracle.faults, repeatable.")
def main(
    program: str, steps: int, draws: int, dtypes: tuple[str, ...], names: tuple[str, ...], planted: tuple[str, ...]
):
    """Print the ratio of each to the drift of a backend against itself: the first backend with each other and fault."""
    backends = {name: loading.load(name) for name in names}
    backends.update({name: faults.broken(name) for name in planted})
    first, *others = backends
    places = checkpoints(steps)
    seed_of, studied = programs.seed_of, cast(Any, programs)
    for dtype in dtypes:
        for draw in range(draws):
            studied.seed_of = _moved(seed_of, draw)
            runs = {}
            for name, backend in backends.items():
                for perturbed in range(PERTURBATIONS + 1 if name in names else 1):
                    done = work.lockstep(backend, program, dtype, steps, places, [], perturbed)
                    runs[name, program, dtype, perturbed] = Found(*done)
            for other in others:
                pair = lockstep.pair_of(runs, first, other, program, dtype, places)
                click.echo("%s %s draw %d: %s %.3g at %d" % (program, dtype, draw, other, pair["ratio"], pair["at"]))
    studied.seed_of = seed_of


if __name__ == "__main__":
    main()
