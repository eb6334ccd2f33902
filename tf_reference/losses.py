"""Losses and the measure of accuracy."""

from __future__ import annotations

from typing import Any

from tf_reference.tf1 import tf


def cross_entropy(logits: Any, targets: Any) -> Any:
    """The mean over rows of sparse softmax cross-entropy. logits: [batch, classes]; targets: integers [batch]."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def valid_cross_entropy(logits: Any, targets: Any, valid: Any) -> Any:
    """Sparse softmax cross-entropy, its sum over the valid steps divided by their number; 0 where there are none.

    logits: [batch, steps, classes]; targets: integers [batch, steps], of any value where not valid, a bool of that
    shape.
    """
    labels = tf.where(valid, targets, tf.zeros_like(targets))
    every = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    kept = tf.where(valid, every, tf.zeros_like(every))
    number = tf.maximum(tf.math.count_nonzero(valid), 1)
    return tf.reduce_sum(kept) / tf.cast(number, logits.dtype)


def mean_square(predictions: Any, targets: Any) -> Any:
    """The mean over every entry of the squared error. predictions, targets: [batch, steps, outputs]."""
    return tf.reduce_mean(tf.square(predictions - targets))


def in_top_k(logits: Any, targets: Any, k: Any) -> Any:
    """Whether fewer than k classes have a logit strictly above the target's; never in a row with a non-finite logit.

    logits: [batch, classes]; targets: integers [batch]. Returns bool [batch]. TensorFlow's in_top_k takes float32,
    and rounding could make ties: it is given the order of float64 logits instead of the logits.
    """
    if logits.dtype == tf.float64:
        above = tf.expand_dims(logits, 1) > tf.expand_dims(logits, 2)  # [batch, class, classes above it]
        order = -tf.reduce_sum(tf.cast(above, tf.float32), axis=2)
        logits = tf.where(tf.is_finite(logits), order, tf.fill(tf.shape(order), float("nan")))
    return tf.nn.in_top_k(logits, targets, k)
