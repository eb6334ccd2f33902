"""The pieces of a study: what is asked of which backend, with which seed. They are independent of each other."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Iterable, NamedTuple

import numpy as np

from spec_tests.questions import behaviours, cases
from spec_tests.study import programs
from spec_tests.study.profiles import Profile

JUDGE = "oracle"  # the backend whose float64 answers the parity part expects
JUDGE_LABEL = "the float64 oracle"  # as one of the study's hosts; "oracle" itself can be a backend of the study too
CHECKPOINTS = 24  # of a lockstep run, about evenly spaced on a logarithmic scale
PROJECTIONS = ("stacked", "wrapped")
DRAWS = 3  # of initial weights: of a kernel they are thousands of values

# Rough seconds of a step on one core, for the order of pieces and the time left; the display corrects them as it goes.
_STEP_S = {"mnist": 0.015, "series": 0.004, "vowels": 0.01}
_DEARER = {"RNN": 1, "LSTM": 4, "GRU": 4}


class Piece(NamedTuple):
    """One task of `work` for one backend.

    part: "parity", "lockstep", "initial", "accuracy", "paired" or "series". backend: its label. task, arguments: what
    `work.run` takes. weight: rough seconds.
    """

    part: str
    backend: str
    task: str
    arguments: dict[str, Any]
    weight: float

    @property
    def title(self) -> str:
        """Unique in a study, and readable: "lockstep, mnist, float64, one ulp away, draw 1, torch_impl"."""
        given = self.arguments
        words = [self.part, given.get("program"), given.get("projection"), given.get("dtype")]
        words += [
            "one ulp away, draw %d" % given["perturbed"] if given.get("perturbed") else None,
            given.get("_seed") and "seed %d" % given["_seed"],
        ]
        return ", ".join(str(word) for word in [*words, self.backend] if word)

    def asked(self) -> dict[str, Any]:
        """The arguments that travel."""
        return {name: value for name, value in self.arguments.items() if not name.startswith("_")}

    def key(self, facts: dict[str, Any]) -> str:
        """A digest of all that the piece's numbers depend on: the task and the facts of its backend."""
        text = json.dumps([self.task, self.asked(), facts], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]

    def file_name(self, facts: dict[str, Any]) -> str:
        return "%s-%s.npz" % (re.sub(r"[^\w.@]+", "_", self.title), self.key(facts))


def checkpoints(steps: int, always: Iterable[int] = ()) -> list[int]:
    """Numbers of steps at which two runs are compared: the first ones, then ever fewer, `always` and the last."""
    spaced = np.unique(np.round(np.geomspace(1, steps, CHECKPOINTS)).astype(int)).tolist()
    return sorted({*spaced, *always, steps})


def planned(profile: Profile, capabilities: dict[str, Iterable[str]]) -> list[Piece]:
    """The pieces of a study of these backends, by label, each with what it declares. What it lacks is left out."""
    found: list[Piece] = []
    for label, offered in capabilities.items():
        able = frozenset(offered)
        found += [_parity(label, dtype) for dtype in cases.DTYPES if dtype in able]
        found += _lockstep(profile, label, able)
        found += _initial(profile, label, able)
        found += _independent(profile, label, able)
    return found + _judged(capabilities)


def _parity(label: str, dtype: str) -> Piece:
    return Piece("parity", label, "parity", {"dtype": dtype}, 6.0)


def _judged(capabilities: dict[str, Iterable[str]]) -> list[Piece]:
    """What the judge is asked: each behaviour that any backend offers."""
    found = []
    for dtype in cases.DTYPES:
        asked = {name for offered in capabilities.values() for name in behaviours.offered(offered, dtype)}
        if asked:
            arguments = {"dtype": dtype, "widened": sorted(asked)}
            found.append(Piece("parity", JUDGE_LABEL, "parity", arguments, 6.0))
    return found


def _step_s(program: str) -> float:
    return _STEP_S[programs.data_of(program)] * _DEARER[programs.kind_of(program)]


def _lockstep(profile: Profile, label: str, able: frozenset[str]) -> list[Piece]:
    found = []
    for program in profile.programs:
        for dtype in cases.DTYPES:
            steps = profile.lockstep_steps(program, dtype)
            if not steps or not programs.needs(program) | {dtype} <= able:
                continue
            whole = program == "mnist" and dtype == "float32"
            epochs = list(range(profile.epoch_steps, steps + 1, profile.epoch_steps)) if whole else []
            for perturbed in range(profile.perturbations + 1):
                arguments = {
                    "program": program,
                    "dtype": dtype,
                    "steps": steps,
                    "checkpoints": checkpoints(steps, epochs),
                    "evaluate": [] if perturbed else epochs,
                    "perturbed": perturbed,
                }
                found.append(Piece("lockstep", label, "lockstep", arguments, steps * _step_s(program)))
    return found


def _initial(profile: Profile, label: str, able: frozenset[str]) -> list[Piece]:
    """Its own initial weights, of each program's model; both forms of the series have the same."""
    found = []
    for program in profile.programs:
        needed = programs.needs(program) - {"training", "lengths"} | {"initial_weights", "float32"}
        if needed <= able and program != "series-wrapped":
            seeds = [derived_seed(label, seed, "drawn") for seed in range(1, DRAWS + 1)]
            found.append(Piece("initial", label, "drawn", {"program": program, "seeds": seeds}, 0.5))
    return found


def _independent(profile: Profile, label: str, able: frozenset[str]) -> list[Piece]:
    """Runs of classifiers from weights and batches that all backends share, one for each seed; and from a backend's
    own initial values `seeds` runs of MNIST and a series run of each form."""
    found: list[Piece] = []
    if "float32" not in able:
        return found
    for program in programs.CLASSIFIERS:
        if program in profile.programs and programs.needs(program) <= able:
            for seed in range(1, profile.paired + 1):
                found += _classifier(profile, "paired", label, program, seed)
    if not profile.seeds or "initial_weights" not in able:
        return found
    if programs.needs("mnist") <= able:
        for seed in range(1, profile.seeds + 1):
            found += _classifier(profile, "accuracy", label, "mnist", seed)
    for projection in PROJECTIONS:
        if profile.iterations and programs.needs("series-" + projection) <= able:
            seed = derived_seed(label, 1, "series")
            given = {"projection": projection, "iterations": profile.iterations, "weights_seed": seed}
            found.append(Piece("series", label, "series", given, profile.iterations * _STEP_S["series"]))
    return found


def _classifier(profile: Profile, part: str, label: str, program: str, seed: int) -> list[Piece]:
    own = part == "accuracy"
    epochs, steps = profile.epochs_of(program, own)
    if not epochs:
        return []
    who = label if own else "all"
    arguments = {
        "program": program,
        "own": own,
        "weights_seed": derived_seed(who, seed, "weights"),
        "batches_seed": derived_seed(who, seed, "batches"),
        "epochs": epochs,
        "epoch_steps": steps,
        "_seed": seed,
    }
    return [Piece(part, label, "alone", arguments, epochs * steps * _step_s(program))]


def derived_seed(label: str, seed: int, purpose: str) -> int:
    """A seed of its own for each backend and purpose: no two share a draw, so that samples are independent."""
    digest = hashlib.sha256(("%s/%d/%s" % (label, seed, purpose)).encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "little")


def timed_programs(able: Iterable[str]) -> list[str]:
    """The programs whose cost can be measured."""
    return [
        name
        for name in ("mnist", "vowels-lstm", "series-stacked")
        if programs.needs(name) | {"float32"} <= frozenset(able)
    ]
