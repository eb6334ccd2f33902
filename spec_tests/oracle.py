"""The third truth: what every behaviour should give, as formulas in float64 NumPy.

Neither framework judges the other; both are held to this page, and results recorded from genuine TensorFlow 1.15.5
confirm it. Whatever the dtype of the arguments, everything here is computed and returned in float64, except where TF1
itself rounds to float32 (Adam's constants and powers). Arguments are taken as right: checking them is a backend's work.
`backend()` gives this page as a backend of the contract, so that it can be put under its own suite.

Shapes: inputs [batch, steps, inputs]; h, state [batch, units]; kernel [inputs + units, units]; bias [units].
"""

from __future__ import annotations

from typing import Any, Callable, Dict

import numpy as np

from data.programs import END, START, Adam, Cell, Model

Arrays = Dict[str, np.ndarray]
Function = Callable[[np.ndarray], np.ndarray]

# f(z), and f'(z) written by h = f(z). ReLU's slope at 0 is 0, as in TF1.
ACTIVATIONS: dict[str, Function] = {"tanh": np.tanh, "relu": lambda z: np.maximum(z, 0.0)}
SLOPES: dict[str, Function] = {"tanh": lambda h: 1.0 - h * h, "relu": lambda h: (h > 0.0).astype(np.float64)}


def float64(arrays: Arrays) -> Arrays:
    return {name: np.asarray(array, np.float64) for name, array in arrays.items()}


def two_step(cell: Cell, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y0 = f(x0 Wx + b); y1 = f(y0 Wy + x1 Wx + b), from a zero state. x0, x1: [batch, inputs]."""
    f, w = ACTIVATIONS[cell.activation], float64(weights)
    wx, wy = w["kernel"][: x0.shape[1]], w["kernel"][x0.shape[1] :]
    y0 = f(np.asarray(x0, np.float64) @ wx + w["bias"])
    y1 = f(y0 @ wy + np.asarray(x1, np.float64) @ wx + w["bias"])
    return y0, y1


def valid_steps(inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """valid[row, t, 0] = t < lengths[row]; bool [batch, steps, 1], to broadcast over values."""
    batch, steps = inputs.shape[:2]
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    return (np.arange(steps) < lengths[:, None])[:, :, None]


def _states(cell: Cell, w: Arrays, x: np.ndarray, valid: np.ndarray, h: np.ndarray | None) -> np.ndarray:
    """h_t = f(concat(x_t, h_t-1) kernel + b) on valid steps, h_t-1 past them: [steps + 1, batch, units], h_0 first."""
    f = ACTIVATIONS[cell.activation]
    states = [np.zeros((len(x), cell.units)) if h is None else np.asarray(h, np.float64)]
    for t in range(x.shape[1]):
        h_new = f(np.concatenate([x[:, t], states[-1]], axis=1) @ w["kernel"] + w["bias"])
        states.append(np.where(valid[:, t], h_new, states[-1]))
    return np.stack(states)


def unroll(
    cell: Cell,
    weights: Arrays,
    inputs: np.ndarray,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """y_t = h_t on valid steps, 0 past them; the final state is h after the last step.

    Returns (outputs [batch, steps, units], state [batch, units]).
    """
    valid = valid_steps(inputs, lengths)
    states = _states(cell, float64(weights), np.where(valid, inputs, 0.0), valid, initial_state)
    return np.where(valid, states[1:].transpose(1, 0, 2), 0.0), states[-1]


def bptt(
    cell: Cell,
    weights: Arrays,
    inputs: np.ndarray,
    output_gradients: np.ndarray | None = None,
    state_gradient: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    initial_state: np.ndarray | None = None,
) -> Arrays:
    """Back-propagation through time, from the last step to the first, on valid steps only:

    dz_t = (dy_t + dh_t) f'(h_t); dkernel += concat(x_t, h_t-1)^T dz_t; db += sum over rows of dz_t;
    [dx_t, dh_t-1] = dz_t kernel^T. On the steps past a row's length dx_t = 0 and dh_t-1 = dh_t.
    """
    w, valid, slope = float64(weights), valid_steps(inputs, lengths), SLOPES[cell.activation]
    x = np.where(valid, inputs, 0.0)
    states = _states(cell, w, x, valid, initial_state)
    dh = np.zeros_like(states[0]) if state_gradient is None else np.asarray(state_gradient, np.float64)
    dy = np.zeros((1, x.shape[1], 1)) if output_gradients is None else np.asarray(output_gradients, np.float64)
    dkernel, dbias, dx = np.zeros_like(w["kernel"]), np.zeros_like(w["bias"]), np.zeros_like(x)
    for t in reversed(range(x.shape[1])):
        dz = np.where(valid[:, t], (dy[:, t] + dh) * slope(states[t + 1]), 0.0)
        dkernel += np.concatenate([x[:, t], states[t]], axis=1).T @ dz
        dbias += dz.sum(axis=0)
        dx[:, t], dh_before = np.split(dz @ w["kernel"].T, [x.shape[2]], axis=1)
        dh = np.where(valid[:, t], dh_before, dh)
    return {"kernel": dkernel, "bias": dbias, "inputs": dx, "initial_state": dh}


def in_top_k(logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
    """Fewer than k classes strictly above the target's logit; never for a non-finite row or a target outside."""
    inside = (targets >= 0) & (targets < logits.shape[1])
    target = logits[np.arange(len(logits)), np.where(inside, targets, 0)]
    above = (logits > target[:, None]).sum(axis=1)
    return np.isfinite(logits).all(axis=1) & inside & (above < k)


def forward(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """h K + c, on the final state (classifier) or on every output (regressor; "wrapped": 0 past the length)."""
    if model.kind == "speller":
        return spell(model, weights, inputs, lengths)[1]
    w = float64(weights)
    outputs, state = unroll(model.cell, w, inputs, lengths)
    y = (state if model.kind == "classifier" else outputs) @ w["dense/kernel"] + w["dense/bias"]
    return np.where(valid_steps(inputs, lengths), y, 0.0) if model.projection == "wrapped" else y


def _cost(model: Model, y: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss and its gradient by y = forward(...). regressor: mean over entries of (y - target)^2; gradient
    2 (y - target) / entries."""
    if model.kind == "classifier":
        return _cross_entropy(y, targets)
    error = y - np.asarray(targets, np.float64)
    return float(np.mean(error**2)), 2.0 * error / error.size


def _cross_entropy(y: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean over rows of log(sum(exp(y))) - y[target]; gradient (softmax(y) - onehot) / rows."""
    rows = np.arange(len(y))
    shifted = y - y.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dy = np.exp(log_softmax)
    dy[rows, targets] -= 1.0
    return float(-np.mean(log_softmax[rows, targets])), dy / len(y)


def loss(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> float:
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)[0]
    return _cost(model, forward(model, weights, inputs, lengths), targets)[0]


def loss_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
) -> tuple[float, Arrays]:
    """(loss, gradients by weight): dK = h^T dy; dc = sum of dy; dh = dy K^T, and from there `bptt`."""
    if model.kind == "speller":
        return _speller_gradients(model, weights, inputs, targets, lengths)
    w = float64(weights)
    value, dy = _cost(model, forward(model, w, inputs, lengths), targets)
    if model.projection == "wrapped":
        dy = np.where(valid_steps(inputs, lengths), dy, 0.0)
    outputs, state = unroll(model.cell, w, inputs, lengths)
    h, dh = state if model.kind == "classifier" else outputs, dy @ w["dense/kernel"].T
    cost = {"state_gradient" if model.kind == "classifier" else "output_gradients": dh}
    gradients = bptt(model.cell, w, inputs, lengths=lengths, **cost)
    dense_kernel = h.reshape(-1, h.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    dense_bias = dy.reshape(-1, dy.shape[-1]).sum(axis=0)
    return value, {
        "kernel": gradients["kernel"],
        "bias": gradients["bias"],
        "dense/kernel": dense_kernel,
        "dense/bias": dense_bias,
    }


def _embedding(weights: Arrays) -> np.ndarray:
    """What each token puts into the cell: [vocabulary, inputs], by default one-hot."""
    return weights["embedding"] if "embedding" in weights else np.eye(weights["dense/bias"].size)


def decode(
    cell: Cell, weights: Arrays, initial_state: np.ndarray, start: int, end: int, max_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """h = f(concat(E[token], h) kernel + b); token = argmax(h K + c); frozen once a row's token is `end`.

    Returns (tokens [batch, steps], lengths, finished, outputs [batch, steps, units], state).
    """
    w, f, h = float64(weights), ACTIVATIONS[cell.activation], np.asarray(initial_state, np.float64)
    token, lengths = np.full(len(h), start), np.zeros(len(h), np.int64)
    finished = np.zeros(len(h), bool)
    tokens: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    while len(tokens) < max_steps and not finished.all():
        going = ~finished
        h_new = f(np.concatenate([_embedding(w)[token], h], axis=1) @ w["kernel"] + w["bias"])
        h = np.where(going[:, None], h_new, h)
        token = np.where(going, (h @ w["dense/kernel"] + w["dense/bias"]).argmax(axis=1), end)
        tokens.append(token)
        outputs.append(np.where(going[:, None], h, 0.0))
        lengths += going
        finished = finished | (token == end)
    return np.stack(tokens, axis=1), lengths, finished, np.stack(outputs, axis=1), h


def token_lengths(tokens: np.ndarray, end: int) -> np.ndarray:
    """The valid steps of each row: up to and with its first `end`, all of them where there is none."""
    ends = np.asarray(tokens) == end
    return np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, tokens.shape[1])


def decode_gradients(
    cell: Cell, weights: Arrays, initial_state: np.ndarray, start: int, end: int, tokens: np.ndarray
) -> tuple[float, Arrays]:
    """Teacher forcing: x_t = E[token_t-1], token_-1 = start; n = number of valid steps in the batch;

    loss = 1/n sum over valid steps of log(sum(exp(y_t))) - y_t[token_t], with y_t = h_t K + c;
    dy_t = (softmax(y_t) - onehot(token_t)) / n on valid steps, then `bptt`; dE[token] = sum of dx where it was fed.
    """
    w, lengths = float64(weights), token_lengths(tokens, end)
    fed = np.concatenate([np.full((len(tokens), 1), start), tokens[:, :-1]], axis=1)
    x = _embedding(w)[fed]
    outputs, _ = unroll(cell, w, x, lengths, initial_state)
    valid = valid_steps(x, lengths)[:, :, 0]
    value, dy_valid = _cross_entropy(outputs[valid] @ w["dense/kernel"] + w["dense/bias"], np.asarray(tokens)[valid])
    dy = np.zeros(fed.shape + w["dense/bias"].shape)
    dy[valid] = dy_valid
    gradients = bptt(cell, w, x, dy @ w["dense/kernel"].T, lengths=lengths, initial_state=initial_state)
    dx = gradients.pop("inputs")
    gradients["dense/kernel"] = np.einsum("btu,btv->uv", outputs, dy)
    gradients["dense/bias"] = dy.sum(axis=(0, 1))
    if "embedding" in w:
        gradients["embedding"] = np.zeros_like(w["embedding"])
        np.add.at(gradients["embedding"], fed, dx)
    return value, gradients


def part_of(weights: Arrays, part: str) -> Arrays:
    """The weights of a speller's "encoder", or of its "decoder" with the dense layer, without the prefix."""
    own = {name[len(part) + 1 :]: array for name, array in weights.items() if name.startswith(part + "/")}
    dense = {name: array for name, array in weights.items() if name.startswith("dense/")}
    return own if part == "encoder" else dict(own, **dense)


def spell(model: Model, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> Any:
    """`decode` from the encoder's final state: (tokens, logits) padded to max_steps, with END and with zeros."""
    w = float64(weights)
    _, state = unroll(model.cell, part_of(w, "encoder"), inputs, lengths)
    tokens, ends, _, outputs, _ = decode(model.cell, part_of(w, "decoder"), state, START, END, model.max_steps)
    logits = np.where(valid_steps(outputs, ends), outputs @ w["dense/kernel"] + w["dense/bias"], 0.0)
    rest = model.max_steps - tokens.shape[1]
    padding = ((0, 0), (0, rest), (0, 0))
    return np.pad(tokens, padding[:2], "constant", constant_values=END), np.pad(logits, padding, "constant")


def _speller_gradients(
    model: Model, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None
) -> tuple[float, Arrays]:
    """`decode_gradients` from the encoder's final state, whose gradient goes back through the encoder."""
    encoder, decoder = part_of(weights, "encoder"), part_of(weights, "decoder")
    _, state = unroll(model.cell, encoder, inputs, lengths)
    value, found = decode_gradients(model.cell, decoder, state, START, END, targets)
    back = bptt(model.cell, encoder, inputs, state_gradient=found.pop("initial_state"), lengths=lengths)
    gradients = {"encoder/" + name: back[name] for name in ("kernel", "bias")}
    gradients.update({name if "/" in name else "decoder/" + name: array for name, array in found.items()})
    return value, gradients


def fresh_slots(weights: Arrays, optimizer: Adam) -> Arrays:
    """Zero moments, and the powers that the first step uses: beta1 and beta2 themselves, in float32."""
    slots = {name + slot: np.zeros(array.shape) for name, array in weights.items() for slot in ("/Adam", "/Adam_1")}
    slots["beta1_power"], slots["beta2_power"] = np.array(optimizer[1:3], np.float32)
    return slots


def adam(weights: Arrays, gradients: Arrays, slots: Arrays, optimizer: Adam) -> tuple[Arrays, Arrays]:
    """One step of TF1's Adam: m += (1 - b1)(g - m); v += (1 - b2)(g^2 - v);
    weight -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon).

    TF1 rounds lr, b1, b2 and epsilon to float32 and accumulates the powers b1^t, b2^t in float32, whatever the weights.
    """
    rounded = np.array(optimizer, np.float32)
    lr, beta1, beta2, epsilon = rounded.astype(np.float64)
    power1, power2 = np.float32(slots["beta1_power"]), np.float32(slots["beta2_power"])
    rate = lr * np.sqrt(1.0 - np.float64(power2)) / (1.0 - np.float64(power1))
    new_weights, new_slots = {}, {"beta1_power": power1 * rounded[1], "beta2_power": power2 * rounded[2]}
    for name, gradient in gradients.items():
        m, v = slots[name + "/Adam"], slots[name + "/Adam_1"]
        m = m + (1.0 - beta1) * (gradient - m)
        v = v + (1.0 - beta2) * (gradient**2 - v)
        new_weights[name] = weights[name] - rate * m / (np.sqrt(v) + epsilon)
        new_slots[name + "/Adam"], new_slots[name + "/Adam_1"] = m, v
    return new_weights, new_slots


def train(
    model: Model,
    weights: Arrays,
    optimizer: Adam,
    inputs: np.ndarray,
    targets: np.ndarray,
    batches: np.ndarray,
    lengths: np.ndarray | None = None,
    slots: Arrays | None = None,
) -> tuple[np.ndarray, Arrays, Arrays]:
    """One Adam step per row of batches [iterations, batch]: (losses, each before its step; weights; slots)."""
    weights, losses = float64(weights), []
    slots = fresh_slots(weights, optimizer) if slots is None else dict(slots)
    for rows in batches:
        valid = None if lengths is None else lengths[rows]
        value, gradients = loss_gradients(model, weights, inputs[rows], targets[rows], valid)
        weights, slots = adam(weights, gradients, slots, optimizer)
        losses.append(value)
    return np.array(losses), weights, slots


def backend(device: str = "cpu") -> Any:
    """This page as a backend of the contract, named "oracle"."""
    from spec_tests.oracle_backend import OracleBackend

    return OracleBackend(device)
