"""What is said of a loss that is NaN or infinite: where, how large the gradients were, and what to try."""

from __future__ import annotations

import numpy as np

from torch_impl.runs.trainer import RunTrainer, Snapshot
from unrolled.command_line.results import NotFiniteError

__all__ = ["check_losses"]


def check_losses(
    trainer: RunTrainer, before: Snapshot, batches: np.ndarray, losses: np.ndarray, done: int, remedy: str
) -> None:
    """Raise NotFiniteError for the first loss that is not finite, with the gradient norm there and a step earlier.

    losses [iterations] are of batches [iterations, batch], run from the state `before` on, which is `done` steps after
    the beginning. The steps are taken again to measure the gradients, which costs nothing where all is well.
    """
    wrong = np.flatnonzero(~np.isfinite(losses))
    if not len(wrong):
        return
    at, norms = int(wrong[0]), {}
    for step in range(max(at - 1, 0), at + 1):
        before.restore(trainer.inner)
        trainer.run(batches[:step])
        norms[step] = trainer.gradient_norm(batches[step])
    known = f" (gradient norm {norms[at]:.3g}" + (f", one step earlier {norms[at - 1]:.3g})" if at else ")")
    raise NotFiniteError(done + at + 1, float(losses[at]), (known, remedy))
