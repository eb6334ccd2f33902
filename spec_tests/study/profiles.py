"""How large a study is."""

from __future__ import annotations

from typing import Any, NamedTuple

from unrolled.programs import MNIST_ITERATIONS_PER_EPOCH as EPOCH
from unrolled.programs import SERIES


class Profile(NamedTuple):
    """lockstep_*: optimizer steps from the same weights on the same batches, by program and dtype. wrapped_ulp: whether
    the wrapped form of the series, too, is run against itself. seeds, epochs, epoch_steps: of the independent runs on
    MNIST. iterations: of the independent runs on the series. rounds: timings of each backend in turn; starts: of each
    backend's process; timed_steps: optimizer steps in one timing of MNIST, five times as many of the series.
    """

    name: str
    lockstep_mnist_float32: int
    lockstep_mnist_float64: int
    lockstep_series_float32: int
    lockstep_series_float64: int
    wrapped_ulp: bool
    seeds: int
    epochs: int
    iterations: int
    rounds: int
    starts: int
    epoch_steps: int = EPOCH
    timed_steps: int = 20

    def lockstep_steps(self, program: str, dtype: str) -> int:
        """program: one of `spec_tests.questions.makers.TRAINING`."""
        return getattr(self, "lockstep_%s_%s" % (program.split("-")[0], dtype))

    def resized(self, epochs: int | None, iterations: int | None, seeds: int | None, rounds: int | None) -> Profile:
        """The same with other numbers, None to keep one: epochs of MNIST in lockstep and alone (0: no MNIST),
        iterations of the series likewise, seeds (0: no independent runs), timing rounds (0: no cost)."""
        given: dict[str, Any] = {}
        if epochs is not None:
            steps = epochs * self.epoch_steps
            given.update(epochs=epochs, lockstep_mnist_float32=steps, lockstep_mnist_float64=steps)
        if iterations is not None:
            given.update(iterations=iterations, lockstep_series_float32=iterations, lockstep_series_float64=iterations)
        if seeds is not None:
            given.update(seeds=seeds)
        if rounds is not None:
            given.update(rounds=rounds)
        return self._replace(**given)


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("quick", 2 * EPOCH, EPOCH // 2, 1000, 500, False, 3, 1, 1000, 10, 1),
        Profile("standard", 6 * EPOCH, 6 * EPOCH, 3000, 3000, True, 6, 10, 3000, 30, 3),
        Profile("full", 20 * EPOCH, 20 * EPOCH, 10_000, 10_000, True, 10, 100, SERIES.iterations, 100, 5),
    )
}
