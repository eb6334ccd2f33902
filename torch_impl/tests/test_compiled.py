"""What the compiled path alone promises: threads, whole training steps, and the choice of the path."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from torch_impl import GRU, LSTM, RNN, Classifier, Regressor, Trainer, states
from torch_impl.unrolling import paths, threads
from torch_impl.unrolling.arrangement import Arrangement
from torch_impl.unrolling.kinds import kind_of, lstm, plain
from torch_impl.unrolling.paths import chosen_path, forced_path
from unrolled.programs import Adam

pytest.importorskip("numba", reason="the compiled path needs Numba")

from torch_impl.unrolling import compiled, memory, teams

TANH = plain.KINDS["tanh"]
MAKERS: dict[str, Callable[..., Any]] = {
    "tanh": RNN,
    "relu": partial(RNN, activation="relu"),
    "lstm": LSTM,
    "gru": GRU,
    "gru, reset after": partial(GRU, reset_after=True),
}
KINDS = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture(autouse=True)
def no_forced_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests choose for themselves."""
    monkeypatch.delenv(paths.VARIABLE, raising=False)


def test_denormal_numbers_are_flushed_inside_the_kernels_only() -> None:
    tiny = torch.tensor([1e-310], dtype=torch.float64)
    with forced_path("compiled"):
        RNN(1, 1)(torch.ones(1, 1, 1))
    assert (tiny * 0.5).item() != 0.0


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small work on two threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("team", [True, False], ids=["PyTorch's threads", "threads of our own"])
@KINDS
def test_threads_change_no_bit(kind: str, team: bool, two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    parallel, ran = teams.openmp(), []
    if team and parallel is None:
        pytest.skip("PyTorch is not linked with an OpenMP library of that name here")

    def counted(*arguments: Any) -> None:
        assert parallel is not None
        ran.append(arguments)
        parallel(*arguments)

    monkeypatch.setattr(teams, "openmp", lambda: counted if team else None)

    def one_run(expected: int) -> list[torch.Tensor]:
        assert threads.parts_of(7, 1e9) == expected
        torch.manual_seed(0)
        rnn, x = MAKERS[kind](3, 21), torch.randn(7, 9, 3).requires_grad_()
        with forced_path("compiled"):
            outputs, state = rnn(x, [9, 0, 3, 1, 9, 5, 2])
        grads = torch.autograd.grad(outputs.square().sum(), [x, *rnn.parameters()])
        return [outputs, *([state] if isinstance(state, torch.Tensor) else state), *grads]

    several = one_run(2)
    assert bool(ran) == team
    torch.set_num_threads(1)
    for one, two in zip(one_run(1), several, strict=True):
        assert torch.equal(one, two)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("before", ["compute()", "torch.zeros(1000000)"])
def test_a_forked_process_shares_its_work_too(before: str) -> None:
    """OpenMP's threads do not survive a fork, and GCC's library does not know it: after compiled code in the parent,
    or after an operation of PyTorch's alone."""
    code = f"""
import os, signal, torch
from torch_impl import LSTM
from torch_impl.unrolling import threads
from torch_impl.unrolling.paths import forced_path
torch.set_num_threads(2)
threads.WORTH_A_THREAD = 1
lstm, inputs = LSTM(3, 21), torch.ones(7, 9, 3)
def compute(path="compiled"):
    with forced_path(path):
        return lstm(inputs)[0].sum().item()
expected = compute("native")
{before}
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(abs(compute() - expected) > 1e-3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout == "0\n", run.stderr


@KINDS
def test_memory_that_is_used_again_holds_nothing_of_before(kind: str) -> None:
    """Passes that overlap, each with other weights, in either order of their ways back."""
    layers = [MAKERS[kind](3, 21) for _ in range(2)]
    x = torch.rand(2, 5, 3)

    def gradients(overlapping: bool, order: tuple[int, int]) -> dict[int, list[torch.Tensor]]:
        found = {}
        with forced_path("compiled"):
            costs = {i: layers[i](x)[0].square().sum() for i in order} if overlapping else {}
            for i in order:
                cost = costs[i] if overlapping else layers[i](x)[0].square().sum()
                torch.autograd.grad(cost, list(layers[i].parameters()), retain_graph=True)
                found[i] = list(torch.autograd.grad(cost, list(layers[i].parameters())))
        return found

    memory.layout_of.cache_clear()
    expected = gradients(False, (0, 1))
    for order in ((0, 1), (1, 0)):
        for overlapping in (True, False):
            for i, grads in gradients(overlapping, order).items():
                assert all(map(torch.equal, grads, expected[i]))
    found = kind_of(layers[0].cell)
    assert found is not None
    layout = memory.layout_of(found[0], 21, 3, "float32")
    assert len(layout.spare) == 1


def test_rows_are_shared_by_their_lengths(two_threads: None) -> None:
    found: list[tuple[int, int]] = []
    threads.shared(6, 1e9, lambda begin, end: found.append((begin, end)), [60, 20, 20, 10, 5, 5])
    assert sorted(found) == [(0, 1), (1, 6)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@KINDS
@pytest.mark.parametrize("model", ["classifier", "classifier with lengths", "regressor"])
@pytest.mark.parametrize("count", [1, 2])
def test_whole_steps_are_the_steps_of_autograd(
    dtype: torch.dtype, kind: str, model: str, count: int, request: pytest.FixtureRequest
) -> None:
    if count == 2:
        request.getfixturevalue("two_threads")
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(23, 6, 3, generator=generator, dtype=dtype)
    labels, values = torch.arange(23) % 5, torch.randn(23, 6, 5, generator=generator, dtype=dtype)
    lengths = torch.arange(23) % 7 if "lengths" in model else None
    make = Regressor if model == "regressor" else Classifier
    batches = np.random.RandomState(0).randint(0, 23, (9, 7))
    trainers: list[Trainer] = []
    for _ in range(2):
        made: Any = make(MAKERS[kind](3, 21, dtype=dtype), 5)
        made.reset_parameters(torch.Generator().manual_seed(2))
        trainers.append(Trainer(made, Adam(), x, values if model == "regressor" else labels, lengths))
    with forced_path("native"):
        expected = trainers[0].run(batches)
    found = [trainers[1].run(batches[:3])]  # compiled, then by autograd, then compiled: one state for all
    with forced_path("bptt"):
        found.append(trainers[1].run(batches[3:6]))
    assert next(trainers[1].model.parameters()).grad is not None
    found.append(trainers[1].run(batches[6:]))
    assert next(trainers[1].model.parameters()).grad is None, "the last steps were not the compiled ones"
    limit = 1e-11 if dtype == torch.float64 else 5e-5
    np.testing.assert_allclose(np.concatenate(found), expected, limit, 0)
    for what in ("weights", "slots"):
        ours, theirs = getattr(trainers[1], what)(), getattr(trainers[0], what)()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, limit, limit * float(np.abs(value).max()), err_msg=name)


def test_what_needs_autograd_gets_it() -> None:
    def runs_compiled(change: object) -> bool:
        model = Regressor(RNN(1, 4, "relu"), 1)
        trainer = Trainer(model, Adam(), torch.ones(2, 3, 1), torch.ones(2, 3, 1))
        change(trainer)  # type: ignore[operator]
        return trainer._whole_steps(2) is not None

    class Other(Regressor):
        """A subclass may compute something else."""

    def freeze(trainer: Trainer) -> None:
        trainer.model.get_parameter("dense.bias").requires_grad_(False)

    assert runs_compiled(lambda trainer: None)
    assert not runs_compiled(freeze)
    assert not runs_compiled(lambda t: t.model.rnn.register_forward_hook(lambda *a: None))
    assert not runs_compiled(lambda t: t.model.dense.weight.register_hook(lambda g: g))
    assert not runs_compiled(lambda t: t.optimizer.register_step_post_hook(lambda *a: None))
    assert not runs_compiled(lambda t: setattr(t.model, "__class__", Other))


def test_each_path_by_name_and_by_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, few = torch.ones(4, 4), torch.ones(1, 2, 3)
    chosen = partial(chosen_path, TANH, 4, 4, 1, False)
    assert chosen(weight, few) == "compiled"
    assert chosen_path(TANH, 513, 14, 7, False, weight, few) == "bptt"
    assert chosen_path(TANH, 513, 16, 8, False, weight, few) == "compiled"
    assert chosen_path(TANH, 4, 3, 1, False, weight, few) == "native"  # one step of a stream
    for units, batch, wanted in ((300, 1, "compiled"), (301, 63, "native"), (301, 64, "compiled"), (513, 7, "native")):
        assert chosen_path(lstm.KIND, units, 16 * batch, batch, False, weight, few) == wanted
    assert chosen_path(lstm.KIND, 301, 480, 30, True, weight, few) == "compiled"
    assert chosen_path(lstm.KIND, 513, 48, 3, True, weight, few) == "bptt"
    wide = weight.double(), few.double()  # oneDNN has no float64
    assert chosen_path(lstm.KIND, 301, 480, 30, False, *wide) == "compiled"
    for name in paths.PATHS:
        with forced_path(name):
            assert chosen(weight, few) == name
        monkeypatch.setenv(paths.VARIABLE, name)
        assert chosen(weight, few) == name
    with forced_path("bptt"):
        assert chosen(weight.half(), few) == "native"
        with torch.autocast("cpu"):
            assert chosen(weight, few) == "native"
    monkeypatch.setenv(paths.VARIABLE, "fast")
    with pytest.raises(ValueError, match="UNROLLED_PATH must be one of compiled, bptt, native, got 'fast'"):
        chosen(weight, few)
    with pytest.raises(ValueError, match="the path must be one of"), forced_path("fast"):
        pass


def test_transforms_run_natively() -> None:
    rnn, x = RNN(3, 5, dtype=torch.float64), torch.ones(4, 6, 3, dtype=torch.float64)
    by_transform = torch.func.grad(lambda one: rnn(one)[1].sum())(x)
    x.requires_grad_()
    torch.testing.assert_close(by_transform, torch.autograd.grad(rnn(x)[1].sum(), x)[0])
    with torch.autograd.forward_ad.dual_level():
        assert chosen_path(TANH, 4, 4, 1, False, torch.ones(4, 4), torch.ones(1, 2, 3)) == "native"
    assert chosen_path(TANH, 4, 4, 1, False, torch.ones(4, 4), torch.ones(1, 2, 3)) != "native"


def test_without_a_folder_for_compiled_code_it_runs_and_says_how_to_name_one() -> None:
    """As where a service runs as a user without a home."""
    code = (
        "import numba.core.caching as c; c.CompileResultCacheImpl._locator_classes = [];"
        "c.CodeLibraryCacheImpl._locator_classes = [];"
        "import torch, torch_impl; torch_impl.RNN(2, 3)(torch.ones(4, 5, 2))[0].sum().backward()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "no folder to keep it in, so name one with NUMBA_CACHE_DIR" in done.stderr


def test_without_numba_the_other_path_runs_with_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_impl.unrolling.compiled", None)
    given = TANH, 4, 4, 1, False, torch.ones(4, 4), torch.ones(1, 2, 3)
    caches = (paths.missing_compiler, paths._compiler_or_warning)
    for cache in caches:
        cache.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="Numba is missing .*pip install numba") as record:
            assert chosen_path(*given) == chosen_path(*given) == "bptt"
        assert len(record) == 1
        with pytest.raises(ModuleNotFoundError, match="the path is 'compiled', but Numba is missing"):
            forced_path("compiled").__enter__()
    finally:
        for cache in caches:
            cache.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@KINDS
@pytest.mark.parametrize("limits", [None, [0, 1, 9, 4, 0, 9, 2, 3, 5] * 5])
@pytest.mark.parametrize("given", [True, False])
def test_without_a_graph_the_numbers_are_the_same(
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    kind: str,
    limits: list[int] | None,
    given: bool,
    two_threads: None,
) -> None:
    for name in ("CACHE_BYTES", "GOOD_BLOCK"):
        monkeypatch.setattr(compiled, name, 1)  # so that 45 rows are two blocks, of 32 and 13
    blocks, part = set(), Arrangement.part

    def noted(arrangement: Arrangement, begin: int, end: int) -> Arrangement:
        blocks.add((begin, end))
        return part(arrangement, begin, end)

    monkeypatch.setattr(Arrangement, "part", noted)
    torch.manual_seed(0)
    rnn, x = MAKERS[kind](3, 21, dtype=dtype), torch.randn(45, 9, 3, dtype=dtype)
    first = states.mapped(lambda part: torch.randn_like(part), rnn.zero_state(45)) if given else None
    with forced_path("compiled"):
        expected, last = rnn(x, limits, first)
        with torch.no_grad():
            for _ in range(2):  # the second call finds the weights laid out
                outputs, state = rnn(x, limits, first)
                none, alone = rnn(x, limits, first, outputs=False)
                assert torch.equal(outputs, expected) and none is None
                for found in (state, alone):
                    torch.testing.assert_close(found, last, rtol=0, atol=0)
            for parameter in rnn.parameters():
                parameter.data.mul_(0.5)  # which no count of changes tells
            changed, _ = rnn(x, limits, first)
        anew, _ = rnn(x, limits, first)
    assert torch.equal(changed, anew) and not torch.equal(changed, expected)
    assert blocks == {(0, 32), (32, 45)}


def test_threads_that_share_steps_wait_for_each_other(two_threads: None) -> None:
    """Many short steps: one that began before the other thread had ended the last would change a number."""
    x, labels = torch.rand(40, 5, 3, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 5
    batches = np.random.RandomState(0).randint(0, 40, (300, 8))

    def losses(count: int) -> np.ndarray:
        torch.set_num_threads(count)
        made: Any = Classifier(MAKERS["gru"](3, 21), 5)
        made.reset_parameters(torch.Generator().manual_seed(2))
        trainer = Trainer(made, Adam(), x, labels, torch.arange(40) % 6)
        with forced_path("compiled"):
            return trainer.run(batches)

    np.testing.assert_array_equal(losses(2), losses(1))
