"""A wrong argument: an error of the right kind, in one sentence that names the argument and what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import torch_impl

CELL = torch_impl.BasicRNNCell(3, 5)
X = torch.ones(4, 6, 3)
H = torch.zeros(4, 5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((X[0],), ValueError, ["inputs", "rank 3", "[6, 3]"]),
        ((torch.ones(4, 6, 2),), ValueError, ["inputs", "3]", "[4, 6, 2]"]),
        ((X.double(),), TypeError, ["inputs", "float32", "float64"]),
        ((X.numpy(),), TypeError, ["inputs", "tensor", "ndarray"]),
        ((X[:0],), ValueError, ["inputs", "batch at least 1", "[0, 6, 3]"]),
        ((X[:, :0],), ValueError, ["inputs", "steps at least 1", "[4, 0, 3]"]),
        ((X.to("meta"),), ValueError, ["inputs", "meta", "cpu"]),
        ((X, [6, 6, 6]), ValueError, ["lengths", "[4]", "[3]"]),
        ((X, [[6, 6, 6, 6]]), ValueError, ["lengths", "[1, 4]"]),
        ((X, [6.0, 1.0, 2.0, 3.0]), TypeError, ["lengths", "integers", "float32"]),
        ((X, [True, True, False, True]), TypeError, ["lengths", "integers", "bool"]),
        ((X, "four"), TypeError, ["lengths", "integers", "str"]),
        ((X, [6, 7, 0, 1]), ValueError, ["lengths[1] = 7", "0 to 6"]),
        ((X, np.array([1, -2, 1, 6])[::-1]), ValueError, ["lengths[2] = -2", "0 to 6"]),
        ((X, np.array([6, 1, -2, 1])), ValueError, ["lengths[2] = -2", "0 to 6"]),
        ((X, None, H[:3]), ValueError, ["initial_state", "[4, 5]", "[3, 5]"]),
        ((X, None, H[None]), ValueError, ["initial_state", "rank 2", "[1, 4, 5]"]),
        ((X, None, H.double()), TypeError, ["initial_state", "float64"]),
        ((X, None, H.to("meta")), ValueError, ["initial_state", "meta"]),
    ],
)
def test_unrolling_names_the_wrong_argument(arguments: Any, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as raised:
        torch_impl.dynamic_rnn(CELL, *arguments)
    message = str(raised.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    x, *rest = arguments
    if isinstance(x, torch.Tensor) and x.ndim == 3 and x.shape[1]:
        with pytest.raises(error):
            torch_impl.static_rnn(CELL, list(x.unbind(1)), *rest)


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (X, TypeError, ["inputs", "list", "[4, 6, 3]"]),
        ([], ValueError, ["inputs", "at least one step"]),
        ([X[:, 0], X[:3, 0]], ValueError, ["inputs[1]", "[4, 3]", "[3, 3]"]),
        ([X[:, 0], None], TypeError, ["inputs[1]", "None"]),
        ([3], TypeError, ["inputs[0]", "int 3"]),
    ],
)
def test_static_rnn_names_the_wrong_step(inputs: Any, error: type[Exception], words: list[str]) -> None:
    with pytest.raises(error) as raised:
        torch_impl.static_rnn(CELL, inputs)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_dynamic_rnn_wants_a_cell_of_this_library() -> None:
    with pytest.raises(TypeError, match=r"cell must be one of torch_impl\.cells, got GRUCell; static_rnn takes any"):
        torch_impl.dynamic_rnn(torch.nn.GRUCell(3, 5), X)  # type: ignore[arg-type]


def test_a_packed_sequence_has_its_own_lengths() -> None:
    packed = torch.nn.utils.rnn.pack_padded_sequence(X, torch.tensor([6, 3, 2, 1]), batch_first=True)
    with pytest.raises(ValueError, match="lengths must be None"):
        torch_impl.RNN(3, 5)(packed, lengths=[6, 3, 2, 1])
    with pytest.raises(ValueError, match=r"inputs\.data must be float32 \[values, 2\]"):
        torch_impl.RNN(2, 5)(packed)


@pytest.mark.parametrize("state", [H[:3], H[:, :4], H.double()])
def test_one_step_checks_its_state(state: torch.Tensor) -> None:
    with pytest.raises((TypeError, ValueError), match="state must be float32 \\[4, 5\\]"):
        CELL(X[:, 0], state)


def test_sizes_and_choices() -> None:
    with pytest.raises(ValueError, match="units must be at least 1, got 0"):
        torch_impl.RNN(3, 0)
    with pytest.raises(TypeError, match=r"units must be an integer of at least 1, got float 5\.0"):
        torch_impl.RNN(3, 5.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"activation must be 'tanh' or 'relu' or .*, got 'sine'"):
        torch_impl.RNN(3, 5, "sine")
    with pytest.raises(ValueError, match=r"activation must be 'tanh' or 'relu' or .*, got \['tanh'\]"):
        torch_impl.RNN(3, 5, ["tanh"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="projection must be 'stacked' or 'wrapped', got 'none'"):
        torch_impl.Regressor(torch_impl.RNN(3, 5), 2, projection="none")


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        ([0, 1, 2, -100], ValueError, ["targets[3] = -100", "0 to 2"]),
        ([0, 3, 2, 1], ValueError, ["targets[1] = 3", "0 to 2"]),
        ([0, 1, 2], ValueError, ["targets", "[4]", "[3]"]),
        ([0.0, 1.0, 2.0, 1.0], TypeError, ["targets", "integers", "float32"]),
    ],
)
def test_cross_entropy_takes_only_labels_of_its_classes(targets: Any, error: type[Exception], words: list[str]) -> None:
    model = torch_impl.Classifier(torch_impl.RNN(3, 5), 3)
    for loss in (torch_impl.cross_entropy, model.loss):
        with pytest.raises(error) as raised:
            loss(torch.zeros(4, 3), torch.tensor(targets))
        assert all(word in str(raised.value) for word in words), str(raised.value)


def test_mean_square_does_not_broadcast() -> None:
    with pytest.raises(ValueError, match=r"targets must be float32 \[2, 3, 1\], got float32 \[2, 1, 1\]"):
        torch_impl.mean_square(torch.zeros(2, 3, 1), torch.zeros(2, 1, 1))


@pytest.mark.parametrize(
    ("predictions", "targets", "error", "words"),
    [
        (np.zeros(2), torch.zeros(2), TypeError, "predictions must be a floating-point tensor"),
        (None, torch.zeros(2), TypeError, "predictions must be a floating-point tensor"),
        (torch.zeros(2, dtype=torch.int64), torch.zeros(2), TypeError, "got int64"),
        (torch.zeros(2, 0), torch.zeros(2, 0), ValueError, "at least one value"),
        (torch.zeros(2), np.zeros(2), TypeError, "targets must be a tensor"),
    ],
)
def test_mean_square_names_what_is_no_tensor(
    predictions: Any, targets: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        torch_impl.mean_square(predictions, targets)


def test_in_top_k_checks_its_arguments() -> None:
    logits, targets = torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        torch_impl.in_top_k(logits, targets, 0)
    with pytest.raises(ValueError, match=r"targets must be integers \[batch\] = \[4\]"):
        torch_impl.in_top_k(logits, targets[:3])
    with pytest.raises(TypeError, match="targets must be integers"):
        torch_impl.in_top_k(logits, logits[:, 0])
    with pytest.raises(TypeError, match="logits must be a floating-point tensor"):
        torch_impl.in_top_k(logits.long(), targets)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x0", X[:0, 0]), ("x1", X[:1, 1]), ("wy", torch.ones(5, 3)), ("b", torch.zeros(4, 5)), ("b", torch.zeros(1))],
)
def test_the_two_step_cell_broadcasts_nothing_silently(name: str, value: torch.Tensor) -> None:
    given: dict[str, Any] = {
        "x0": X[:, 0],
        "x1": X[:, 1],
        "wx": torch.ones(3, 5),
        "wy": torch.ones(5, 5),
        "b": torch.zeros(5),
    }
    with pytest.raises(ValueError, match=f"^{name} must be"):
        torch_impl.two_step(**{**given, name: value})
