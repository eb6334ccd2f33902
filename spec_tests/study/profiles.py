"""How large a study is."""

from __future__ import annotations

from typing import Any, NamedTuple

from spec_tests.study import programs
from unrolled.programs import MNIST_ITERATIONS_PER_EPOCH as EPOCH
from unrolled.programs import SERIES, VOWELS, VOWELS_EPOCHS

VOWELS_EPOCH = 9  # 270 // 30 steps


class Profile(NamedTuple):
    """why: why these numbers suffice, a sentence for the report. programs: what is trained. lockstep_*: optimizer steps
    from the same weights on the same batches, by data and dtype. perturbations: runs of a backend against itself, each
    from other weights one unit in the last place away. seeds: runs from a backend's own initial values, each of
    `epochs` of MNIST. paired: seeds whose weights and batches all backends share; paired_epochs, vowels_epochs: of
    each, epoch_steps to one of MNIST. iterations: of the own runs on the series. rounds: timings of each backend in
    turn; starts: of each backend's process; timed_steps: optimizer steps in one timing of MNIST, five times as many of
    the series. gated: the lockstep steps of an LSTM and a GRU on MNIST are so many times fewer than the plain cell's.
    """

    name: str
    why: str
    programs: tuple[str, ...]
    lockstep_mnist_float32: int
    lockstep_mnist_float64: int
    lockstep_series_float32: int
    lockstep_series_float64: int
    lockstep_vowels_float32: int
    lockstep_vowels_float64: int
    perturbations: int
    seeds: int
    paired: int
    epochs: int
    paired_epochs: int
    vowels_epochs: int
    iterations: int
    rounds: int
    starts: int
    epoch_steps: int = EPOCH
    timed_steps: int = 20
    gated: int = 1

    def lockstep_steps(self, program: str, dtype: str) -> int:
        """program: one of `programs.PROGRAMS`."""
        steps = getattr(self, "lockstep_%s_%s" % (programs.data_of(program), dtype))
        return -(-steps // self.gated) if program in ("mnist-lstm", "mnist-gru") else steps

    def epochs_of(self, program: str, own: bool) -> tuple[int, int]:
        """Epochs of a run of a classifier, from its own initial values or from shared ones, and the steps of each."""
        if programs.data_of(program) == "mnist":
            return self.epochs if own else self.paired_epochs, self.epoch_steps
        return self.vowels_epochs, VOWELS_EPOCH

    def resized(self, epochs: int | None, iterations: int | None, seeds: int | None, rounds: int | None) -> Profile:
        """The same with other numbers, None to keep one: epochs of MNIST in lockstep and alone (0: no MNIST),
        iterations of the series likewise, seeds of the kinds that the profile has (0: no accuracy), timing rounds
        (0: no cost). Vowels go with the epochs of MNIST when these are 0."""
        given: dict[str, Any] = {}
        if epochs is not None:
            steps = epochs * self.epoch_steps
            given.update(epochs=epochs, paired_epochs=epochs)
            given.update(lockstep_mnist_float32=steps, lockstep_mnist_float64=steps)
            if not epochs:
                given.update(vowels_epochs=0, lockstep_vowels_float32=0, lockstep_vowels_float64=0)
        if iterations is not None:
            given.update(iterations=iterations, lockstep_series_float32=iterations, lockstep_series_float64=iterations)
        if seeds is not None:
            given.update(seeds=seeds if self.seeds else 0, paired=seeds)
        changed = self._replace(**given)
        if changed != self:  # what a cost is timed in decides nothing else
            changed = changed._replace(why=_CHANGED)
        return changed if rounds is None else changed._replace(rounds=rounds)


_CHANGED = "Numbers were chosen by hand: what they can decide, the power in the tables tells."
_QUICK = (
    "With the same weights and batches two right backends end within about 0.1 points of each other, so that three "
    "seeds decide a margin of 0.5. From own initial values accuracy differs by a point from seed to seed after one "
    "epoch, and would take dozens of seeds: that question is left to --standard. In lockstep a fault shows from the "
    "first steps on, as far apart as ever: a few hundred are enough."
)
_OWN = (
    "After ten epochs the accuracy of the plain cell differs by about 0.25 points from seed to seed: with ten seeds of "
    "each backend a test for a margin of 0.5 has a power of 0.95, where they differ by 0.1 points. "
)
_STANDARD = _OWN + (
    "Pairs of seeds, which differ by rounding alone, decide after one. A step of an LSTM or a GRU on MNIST costs three "
    "to four of the plain cell's, and takes a fifth of its lockstep: a fault shows from the first steps on."
)
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "quick",
            _QUICK,
            ("mnist", "vowels-lstm", "vowels-gru", *programs.SERIES),
            *(EPOCH, EPOCH // 4, 500, 500, 5 * VOWELS_EPOCH, 5 * VOWELS_EPOCH),
            perturbations=2,
            seeds=0,
            paired=3,
            epochs=1,
            paired_epochs=1,
            vowels_epochs=10,
            iterations=500,
            rounds=10,
            starts=1,
        ),
        Profile(
            "standard",
            _STANDARD,
            programs.PROGRAMS,
            *(2 * EPOCH, EPOCH // 2, 2000, 2000, 10 * VOWELS_EPOCH, 10 * VOWELS_EPOCH),
            perturbations=2,
            seeds=10,
            paired=3,
            epochs=10,
            paired_epochs=1,
            vowels_epochs=VOWELS_EPOCHS // 2,
            iterations=2000,
            rounds=30,
            starts=3,
            gated=5,
        ),
        Profile(
            "full",
            _OWN,
            programs.PROGRAMS,
            *(20 * EPOCH, 20 * EPOCH, 10_000, 10_000, VOWELS.iterations, VOWELS.iterations),
            perturbations=3,
            seeds=10,
            paired=10,
            epochs=100,
            paired_epochs=100,
            vowels_epochs=VOWELS_EPOCHS,
            iterations=SERIES.iterations,
            rounds=100,
            starts=5,
        ),
    )
}
