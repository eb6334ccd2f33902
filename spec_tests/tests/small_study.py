"""A study small enough for tests: few steps, made-up images, pieces run in this process. Backends for it, too."""

import os
import signal
import types
from dataclasses import replace

import numpy as np
import pytest

from spec_tests.backends import loading
from spec_tests.oracle.backend import OracleBackend
from spec_tests.questions import behaviours, cases, makers
from spec_tests.study import programs, results, work
from spec_tests.study.executors import Finished, reason_of
from spec_tests.study.profiles import Profile
from spec_tests.study.store import Found, Store
from unrolled.datasets.mnist import LabelledImages
from unrolled.datasets.series import training_pair
from unrolled.networks import BasicRNN
from unrolled.programs import MNIST, VOWELS

HERE = __name__
NAMES = ("oracle", HERE + ":Other")
PROGRAMS = ("mnist", "vowels-lstm", "series-stacked", "series-wrapped")
PROFILE = Profile("small", "", PROGRAMS, 2, 0, 4, 3, 0, 2, 1, 2, 2, 2, 2, 1, 4, 3, 1, epoch_steps=1, timed_steps=1)
STUDY = results.Study(NAMES, "cpu", PROFILE, 1, 0.005, 60.0)


class Other(OracleBackend):
    """Right, with a rounding of its own in each call of `train`."""

    name = "other"

    def train(self, model, weights, *rest, **options):
        moved = {name: np.nextafter(array, array.dtype.type(2)) for name, array in weights.items()}
        return super().train(model, moved, *rest, **options)


class Stubborn(OracleBackend):
    name = "stubborn"

    def train(self, *given, **options):
        raise RuntimeError("out of paper")


class Partial(OracleBackend):
    """What is asked of it takes no time."""

    name = "partial"
    capabilities = frozenset(["basic_rnn", "two_step", "in_top_k", "tanh", "relu", "float32"])


class Second(Partial):
    name = "second"


class Wrong(Partial):
    name = "wrong"

    def two_step(self, network, weights, x0, x1):
        y0, y1 = super().two_step(network, weights, x0, x1)
        return y0, y1 * np.float32(1.001)


class Dying(Partial):
    """Its process goes in the middle of a piece."""

    name = "dying"

    def two_step(self, *given, **named):
        os.kill(os.getpid(), signal.SIGKILL)


def images():
    """As many made-up images as a test can afford, the digit in the columns that are bright."""
    labels = np.arange(300) % 10
    bright = np.random.RandomState(3).uniform(0.0, 0.3, (300, 28, 28))
    bright = (bright + 0.7 * (np.arange(28) // 2 == labels[:, None])[:, None, :]).astype(np.float32)
    several = LabelledImages(bright, labels)
    return types.SimpleNamespace(train=several, test=LabelledImages(bright[:50], labels[:50]))


def rows(some, program, dtype):
    return (some.train.images.astype(dtype), some.train.labels) if program.name == "mnist" else training_pair(dtype)


def costs(hosts):
    """What timing might have given: each backend slower than the one before it."""
    values = {}
    for slower, host in enumerate(hosts, 1):
        rounds = {name: [0.01 * slower, 0.011 * slower, 0.012 * slower] for name in ("mnist/step", "mnist/predict")}
        values[host.label] = dict(rounds, start_s=[1.0], first_step_s=[0.1], peak=10**8 * slower, threads="1")
    return Found({"backends": values, "failed": {}}, {})


def shorten(patch, batch=20):
    """Let pieces in this process train on made-up images, a few at a time."""
    some = images()
    patch.setattr(work, "_images", lambda: some)
    small = replace(VOWELS.model, network=BasicRNN(7))
    patch.setattr(programs, "VOWELS", VOWELS._replace(model=small, batch=10))
    patch.setitem(makers.TRAINING, "mnist", MNIST._replace(batch=batch))
    return some


def run(plan, folder, executor, study=None):
    """The study in a folder, with all that a piece does in this process short."""
    with pytest.MonkeyPatch.context() as patch:
        some = shorten(patch)
        patch.setattr(cases, "program_rows", lambda program, dtype: rows(some, program, dtype))
        patch.setattr(behaviours, "TRAINING_STEPS", 2)
        return results.run(study or STUDY, plan, Store(folder), executor, Silent())


class InProcess:
    """An executor without processes. ends_after: a number of pieces, after which Ctrl-C is pressed."""

    def __init__(self, ends_after=None):
        self.ran, self._ends_after = [], ends_after

    def run(self, pieces, hosts, started):
        for piece in pieces:
            if len(self.ran) == self._ends_after:
                raise KeyboardInterrupt
            self.ran.append(piece.title)
            started(piece)
            try:
                backend = loading.load(hosts[piece.backend].name)
                answer = work.run(backend, piece.task, piece.asked())
                yield Finished(piece, Found(answer["values"], answer["arrays"]))
            except RuntimeError as error:
                yield Finished(piece, None, reason_of(error))


class Silent:
    """No progress is shown."""

    def begin(self, weights, kept):
        pass

    def started(self, title):
        pass

    def finished(self, title, reason=""):
        pass

    def tell(self, text):
        pass
