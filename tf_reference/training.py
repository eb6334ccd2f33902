"""Adam as the chapter uses it, and its training loop: one session.run with a feed_dict per batch."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from tf_reference import checks, models
from tf_reference.tf1 import tf
from unrolled import networks
from unrolled.models import Model
from unrolled.programs import Adam

__all__ = ["Trainer", "adam", "forward"]

FORWARD_ROWS = 1000  # rows per run of a forward pass: their outputs over all steps stay within some 20 MB


def adam(optimizer: Adam, loss: Any, variables: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """One step of tf.train.AdamOptimizer down the loss, and the optimizer's slots by TF1's names.

    TensorFlow takes the optimizer's numbers as float32, and keeps the powers of the betas as float32 variables, also
    for float64 weights (tensorflow/python/training/adam.py).
    variables: the weights by canonical name. `minimize` gates the gradients: with gradients from tf.gradients alone,
    a weight could be updated in place while the gradient of another still reads it, and losses vary by chance.
    """
    tf_optimizer = tf.train.AdamOptimizer(
        optimizer.learning_rate, beta1=optimizer.beta1, beta2=optimizer.beta2, epsilon=optimizer.epsilon
    )
    training_op = tf_optimizer.minimize(loss)
    slots = {}
    for name, variable in variables.items():
        slots[name + "/Adam"] = tf_optimizer.get_slot(variable, "m")
        slots[name + "/Adam_1"] = tf_optimizer.get_slot(variable, "v")
    powers = {variable.op.name: variable for variable in tf_optimizer.variables()}
    slots.update({name: powers[name] for name in checks.POWERS})
    return training_op, slots


def forward(graph: Any, inputs: np.ndarray, lengths: np.ndarray | None = None, fetch: str = "forward") -> np.ndarray:
    """Logits or predictions, or the classes predicted, of any number of rows, some hundreds at a time."""
    parts = []
    for start in range(0, len(inputs), FORWARD_ROWS):
        rows = slice(start, start + FORWARD_ROWS)
        feeds = {"inputs": inputs[rows], "lengths": None if lengths is None else lengths[rows]}
        parts += graph.run([fetch], feeds)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Trainer:
    """A model in training on given rows.

    graph: a model's graph with its training step, for this trainer alone while it is used. dropless: of a model with
    dropout, whose graph takes masks, another without them, to compute results in; None for other models. seed: what is
    dropped at a step hangs on it and on how many steps this trainer took before.
    weights: canonical. inputs: [rows, steps, inputs]. targets: [rows], or [rows, steps, outputs] of a regressor.
    lengths: integers [rows], given exactly when the graph has lengths. slots: what `slots` gave, to go on from there
    exactly; None for a fresh start. Raises ValueError for arrays that do not fit.
    """

    def __init__(
        self,
        graph: Any,
        model: Model,
        weights: Mapping[str, np.ndarray],
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Mapping[str, np.ndarray] | None = None,
        dropless: Any | None = None,
        seed: int = 0,
    ) -> None:
        shapes = networks.shapes(model.weights())
        self._graph = graph
        self._dropless = dropless
        self._masks = {} if dropless is None else models.masks_of(model)
        self._seed = seed
        self._steps = 0
        self._model = model
        self._dtype = checks.check_weights(weights, shapes)
        self._inputs = checks.check_model_inputs(model, inputs, self._dtype)
        self._lengths = checks.check_lengths(lengths, len(self._inputs))
        self._targets = checks.check_targets(model, targets, self._inputs, self._lengths, self._dtype)
        self._weight_names = list(shapes)
        self._slot_names = list(checks.slot_shapes(shapes))
        if slots is not None:
            checks.check_slots(slots, shapes, self._dtype)
        graph.initialize()
        graph.load(dict(weights, **(slots or {})))

    def run(self, batches: np.ndarray) -> np.ndarray:
        """One step per row of batches, row numbers [iterations, batch]. Returns the losses, each before its step."""
        batches = checks.check_batches(batches, len(self._inputs))
        losses = np.empty(len(batches), self._dtype)
        for iteration, rows in enumerate(batches):
            feeds = {"inputs": self._inputs[rows], "targets": self._targets[rows]}
            if self._lengths is not None:
                feeds["lengths"] = self._lengths[rows]
            feeds.update(self._drawn(feeds))
            losses[iteration], _ = self._graph.run(["loss", "training_op"], feeds)
            self._steps += 1
        return losses

    def _drawn(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """This step's masks."""
        random = np.random.default_rng([self._seed, self._steps])
        found = {}
        for name, mask in self._masks.items():
            read = feeds["targets" if name.startswith("decoder/") else "inputs"]
            shape = (*read.shape[:2], mask.width) if mask.per_step else (mask.width,)
            found["masks/" + name] = (random.random(shape) < mask.keep).astype(self._dtype)
        return found

    def forward(self, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Logits [batch, outputs] or predictions [batch, steps, outputs], with the weights as they are now."""
        inputs = checks.check_model_inputs(self._model, inputs, self._dtype)
        lengths = checks.check_lengths(lengths, len(inputs))
        if self._lengths is None and lengths is not None:
            raise ValueError("lengths must be None, since this trainer was made without lengths, got %s" % (lengths,))
        if self._lengths is not None and lengths is None:
            lengths = np.full(len(inputs), inputs.shape[1], np.int32)
        if self._dropless is None:
            return forward(self._graph, inputs, lengths)
        self._dropless.load(self.weights())
        return forward(self._dropless, inputs, lengths)

    def weights(self) -> dict[str, np.ndarray]:
        """The weights as they are now, under their canonical names."""
        return self._graph.read(self._weight_names)

    def slots(self) -> dict[str, np.ndarray]:
        """Adam's moments and beta powers as they are now, under TF1's names."""
        return self._graph.read(self._slot_names)
