"""The chapter in JAX: `lax.scan` over the steps, JAX's own gradients, TF1's Adam in one compiled loop.

Pure functions of arrays; `jax_backend` offers them as the contract wants them.

Shapes: inputs [batch, steps, inputs]; lengths [batch]; a state is a dict, each part [batch, width].
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from spec_tests import checks
from spec_tests.contract import Slots, Weights
from spec_tests.examples.jax_cells import CELLS
from unrolled import initial_values, networks
from unrolled.models import END, START, Model
from unrolled.networks import Network
from unrolled.programs import Adam

Array = Any  # a JAX array, or a NumPy array on its way in
State = dict[str, Array]


def on_first(count: int) -> Any:
    """Compile a function for each value of its first `count` arguments: a network, a model, an optimizer, a way."""
    return functools.partial(jax.jit, static_argnums=tuple(range(count)))


def step(network: Any, weights: Weights, x: Array, state: State) -> tuple[Array, State]:
    """(output [batch, output_size], state) of one step: all that is here of the kind of cell."""
    checks.check_network(network, list(CELLS))
    return CELLS[network.kind](network, weights, x, state)


def zero_state(network: Network, batch: int, dtype: Any) -> State:
    return {name: np.zeros((batch, width), dtype) for name, width in network.state.items()}


def where(going: Array, after: State, before: State) -> State:
    """The state of the rows that go on, and that of before of the others."""
    return {name: jnp.where(going, after[name], before[name]) for name in before}


def by_initial_state(gradients: State) -> State:
    return {"initial_state/" + name: gradient for name, gradient in gradients.items()}


def valid_steps(inputs: Array, lengths: Array) -> Array:
    """Which steps are not padding: bool [batch, steps, 1]."""
    return (jnp.arange(inputs.shape[1]) < lengths[:, None])[:, :, None]


@on_first(2)
def unroll(network: Network, unrolling: str, weights: Weights, inputs: Array, lengths: Array, state: State) -> Any:
    """(outputs [batch, steps, output_size], state) under the length law."""
    valid = valid_steps(inputs, lengths)
    # Before the network sees them: a gradient of 0 times NaN in the padding would be NaN.
    inputs = jnp.where(valid, inputs, 0)

    def at(state: State, now: tuple[Array, Array]) -> tuple[State, Array]:
        x, going = now
        y, after = step(network, weights, x, state)
        return where(going, after, state), jnp.where(going, y, 0)

    if unrolling == "dynamic":
        state, outputs = lax.scan(at, state, (inputs.swapaxes(0, 1), valid.swapaxes(0, 1)))
        return outputs.swapaxes(0, 1), state
    outputs = []
    for t in range(inputs.shape[1]):
        state, y = at(state, (inputs[:, t], valid[:, t]))
        outputs.append(y)
    return jnp.stack(outputs, axis=1), state


@on_first(2)
def rnn_gradients(
    network: Network,
    unrolling: str,
    weights: Weights,
    inputs: Array,
    lengths: Array,
    state: State,
    cost: tuple[Array, State],
) -> dict[str, Array]:
    """cost: its derivatives by outputs and final state."""

    def run(weights: Weights, inputs: Array, state: State) -> Any:
        return unroll(network, unrolling, weights, inputs, lengths, state)

    by_weights, by_inputs, by_state = jax.vjp(run, weights, inputs, state)[1](cost)
    return dict(by_weights, inputs=by_inputs, **by_initial_state(by_state))


@jax.jit
def in_top_k(logits: Array, targets: Array, k: int) -> Array:
    inside = (targets >= 0) & (targets < logits.shape[1])
    target = jnp.take_along_axis(logits, jnp.where(inside, targets, 0)[:, None], axis=1)
    return inside & jnp.isfinite(logits).all(axis=1) & ((logits > target).sum(axis=1) < k)


def dense(weights: Weights, y: Array) -> Array:
    return y @ weights["dense/kernel"] + weights["dense/bias"]


def embedding(weights: Weights) -> Array:
    """What each token puts into the network: [vocabulary, inputs], one-hot by default."""
    bias = weights["dense/bias"]
    return weights["embedding"] if "embedding" in weights else jnp.eye(bias.size, dtype=bias.dtype)


@on_first(2)
def decode(network: Network, max_steps: int, weights: Weights, state: State, start: int, end: int) -> Any:
    """(tokens [batch, max_steps], lengths, finished, outputs [batch, max_steps, output_size], state, logits)."""
    embedded, batch = embedding(weights), checks.batch_of(state)

    def at(now: Any, _: None) -> Any:
        token, going, state = now
        y, after = step(network, weights, embedded[token], state)
        outputs = jnp.where(going[:, None], y, 0)
        logits = jnp.where(going[:, None], dense(weights, y), 0)
        token = jnp.where(going, logits.argmax(axis=1), end)
        return (token, going & (token != end), where(going[:, None], after, state)), (token, going, outputs, logits)

    first = (jnp.full(batch, start, jnp.int64), jnp.ones(batch, bool), state)
    (_, going, state), rest = lax.scan(at, first, length=max_steps)
    tokens, valid, outputs, logits = (array.swapaxes(0, 1) for array in rest)
    return tokens, valid.sum(axis=1), ~going, outputs, state, logits


def teacher_forced(network: Network, weights: Weights, state: State, start: int, end: int, tokens: Array) -> Array:
    """Softmax cross-entropy over the steps up to and with a row's first `end`, divided by their number."""
    fed = jnp.concatenate([jnp.full((len(tokens), 1), start), tokens[:, :-1]], axis=1)
    valid = jnp.cumsum(tokens == end, axis=1) - (tokens == end) == 0
    inputs = embedding(weights)[fed]
    outputs, _ = unroll(network, "dynamic", weights, inputs, valid.sum(axis=1), state)
    errors = -jnp.take_along_axis(jax.nn.log_softmax(dense(weights, outputs)), tokens[:, :, None], axis=2)[:, :, 0]
    return jnp.where(valid, errors, 0).sum() / valid.sum()


@on_first(1)
def decode_gradients(network: Network, weights: Weights, state: State, start: int, end: int, tokens: Array) -> Any:
    loss = jax.value_and_grad(functools.partial(teacher_forced, network), argnums=(0, 1))
    value, (by_weights, by_state) = loss(weights, state, start, end, tokens)
    return value, dict(by_weights, **by_initial_state(by_state))


def part_of(weights: Weights, part: str) -> Weights:
    """A speller's "encoder", or its "decoder" with the dense layer, under the names of a network."""
    own = {name[len(part) + 1 :]: array for name, array in weights.items() if name.startswith(part + "/")}
    return dict(own, **{name: array for name, array in weights.items() if name.startswith("dense/")})


def encoded(model: Model, weights: Weights, inputs: Array, lengths: Array) -> Any:
    """(outputs, state) of a model's network that reads the inputs, from a zero state."""
    weights = part_of(weights, "encoder") if model.kind == "speller" else weights
    state = zero_state(model.network, len(inputs), inputs.dtype)
    return unroll(model.network, "dynamic", weights, inputs, lengths, state)


@on_first(1)
def forward(model: Model, weights: Weights, inputs: Array, lengths: Array) -> Array:
    outputs, state = encoded(model, weights, inputs, lengths)
    if model.kind == "speller":
        return decode(model.network, model.max_steps, part_of(weights, "decoder"), state, START, END)[-1]
    if model.kind == "classifier":
        return dense(weights, jnp.concatenate([state[name] for name in model.network.read_out], axis=1))
    y = dense(weights, outputs)
    return jnp.where(valid_steps(inputs, lengths), y, 0) if model.projection == "wrapped" else y


@on_first(1)
def loss(model: Model, weights: Weights, inputs: Array, targets: Array, lengths: Array) -> Array:
    if model.kind == "speller":
        _, state = encoded(model, weights, inputs, lengths)
        return teacher_forced(model.network, part_of(weights, "decoder"), state, START, END, targets)
    y = forward(model, weights, inputs, lengths)
    if model.kind == "classifier":
        return -jnp.take_along_axis(jax.nn.log_softmax(y), targets[:, None], axis=1).mean()
    return ((y - targets) ** 2).mean()


loss_gradients = on_first(1)(jax.value_and_grad(loss, argnums=1))


def adam(optimizer: Adam, weights: Weights, slots: Slots, gradients: Weights) -> tuple[Weights, Slots]:
    """One step as tf.train.AdamOptimizer takes it: settings and powers are float32, also when the weights are not."""
    rate, beta1, beta2, epsilon = np.array(optimizer, np.float32)
    after: Slots = {"beta1_power": slots["beta1_power"] * beta1, "beta2_power": slots["beta2_power"] * beta2}
    moved = {}
    for name, g in gradients.items():
        power1, power2 = (slots["beta%d_power" % i].astype(g.dtype) for i in (1, 2))
        b1, b2 = (jnp.asarray(beta, g.dtype) for beta in (beta1, beta2))
        m = slots[name + "/Adam"] + (1 - b1) * (g - slots[name + "/Adam"])
        v = slots[name + "/Adam_1"] + (1 - b2) * (g * g - slots[name + "/Adam_1"])
        step_size = rate.astype(g.dtype) * jnp.sqrt(1 - power2) / (1 - power1)
        moved[name] = weights[name] - step_size * m / (jnp.sqrt(v) + epsilon.astype(g.dtype))
        after[name + "/Adam"], after[name + "/Adam_1"] = m, v
    return moved, after


@on_first(2)
def train(
    model: Model,
    optimizer: Adam,
    weights: Weights,
    slots: Slots,
    inputs: Array,
    targets: Array,
    lengths: Array,
    batches: Array,
) -> Any:
    """(losses, weights, slots): all iterations in one compiled loop."""

    def at(now: Any, rows: Array) -> Any:
        weights, slots = now
        value, gradients = loss_gradients(model, weights, inputs[rows], targets[rows], lengths[rows])
        return adam(optimizer, weights, slots, gradients), value

    (weights, slots), losses = lax.scan(at, (weights, slots), batches)
    return losses, weights, slots


def initial_weights(weights: networks.Weights, seed: int) -> dict[str, Array]:
    """Each uniform within its limit of its value: float32."""
    keys = dict(zip(weights, jax.random.split(jax.random.key(seed), len(weights))))
    return {
        name: initial_values.middle(weight).astype(np.float32)
        + jax.random.uniform(keys[name], weight.shape, np.float32, -weight.limit, weight.limit)
        for name, weight in weights.items()
    }
