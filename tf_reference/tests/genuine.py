"""TensorFlow 1.15.5's own classes as a backend: contrib's and Keras's too, and dropout as they do it.

What tf_reference writes out because TensorFlow 2.x has it no longer, or because masks are given, is put back here.
`backend(form=...)`: which of TensorFlow's classes stands for an LSTM, a GRU or a Keras layer. Feeding and naming are
the reference's. Its random draws are replaced where they are made: `random_uniform` gives, for the seed that
a wrapper asks it with, that wrapper's mask. Python 3.7 syntax.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import fields
from typing import Any, Callable, Iterator

from tf_reference import models, unrolling
from tf_reference.adapter import TensorFlowBackend
from tf_reference.cells import CELLS, gru, keras_gru, keras_lstm, layer_norm_lstm, lstm
from tf_reference.given import Given
from tf_reference.sessions import Graph, GraphCache
from tf_reference.structures import STRUCTURES, dropout, layers
from tf_reference.tf1 import tf
from unrolled.networks import (
    GRU,
    LSTM,
    Bidirectional,
    Dropout,
    KerasLSTM,
    LayerNormLSTM,
    Layers,
    prefixed,
)

VERSION = "1.15.5"


class NotGenuineError(ValueError):
    """TensorFlow 1.15.5 has no class for this."""


def backend(device: str = "cpu", threads: int | None = None, form: str = "") -> GenuineBackend:
    """form: "" takes LSTMCell and GRUCell; "basic" BasicLSTMCell; "block" LSTMBlockCell and GRUBlockCellV2; "cudnn"
    CudnnCompatibleLSTMCell; "fused" LSTMBlockFusedCell, which is no cell; "layer" tf.keras.layers.LSTM and GRU, which
    are none either. Raises RuntimeError for another TensorFlow."""
    if tf.__version__ != VERSION:
        raise RuntimeError("this is not TensorFlow %s but %s" % (VERSION, tf.__version__))
    return GenuineBackend(device, threads, form)


class GenuineBackend(TensorFlowBackend):
    name = "genuine"

    def __init__(self, device: str, threads: int | None, form: str) -> None:
        super().__init__(device, threads)
        self._graphs = _Graphs(self._config, form)
        self.in_form = functools.lru_cache(maxsize=None)(functools.partial(GenuineBackend, device, threads))


class _Graphs(GraphCache):
    """Graphs built with TensorFlow's classes in the place of tf_reference's."""

    def __init__(self, config: Any, form: str) -> None:
        super().__init__(config)
        self._form = form

    def get(self, construct: Callable[..., Any], *arguments: Any) -> Graph:
        with _in_place(self._form):
            return super().get(construct, *arguments)


@contextlib.contextmanager
def _in_place(form: str) -> Iterator[None]:
    from tensorflow.contrib import rnn
    from tensorflow.python.ops import random_ops

    kept = dict(CELLS), dict(STRUCTURES), models.OutputProjectionWrapper, unrolling.dynamic_rnn
    drawn = random_ops.random_uniform
    CELLS.update(lstm=_LSTM(form), gru=_GRU(form), layer_norm_lstm=_LayerNormLSTM())
    CELLS.update(
        keras_lstm=_Keras(keras_lstm, keras_lstm.KerasLSTMCell, form),
        keras_gru=_Keras(keras_gru, keras_gru.KerasGRUCell, form),
    )
    STRUCTURES.update(dropout=_Dropout(), layers=_Layers())
    models.OutputProjectionWrapper = rnn.OutputProjectionWrapper  # type: ignore[misc]
    unrolling.dynamic_rnn = functools.partial(_dynamic_rnn, kept[3])  # type: ignore[assignment]
    random_ops.random_uniform = functools.partial(_masks_for_draws, drawn)
    try:
        yield
    finally:
        CELLS.update(kept[0])
        STRUCTURES.update(kept[1])
        models.OutputProjectionWrapper, unrolling.dynamic_rnn = kept[2:]  # type: ignore[misc]
        random_ops.random_uniform = drawn


# Cells


class _LSTM:
    def __init__(self, form: str) -> None:
        self._form = form

    def cell(self, network: LSTM, dtype: Any, masks: Any | None = None) -> Any:
        from tensorflow.contrib import cudnn_rnn, rnn

        if self._form in ("", "layer") and not network.straight_through:
            return lstm.cell(network, dtype)
        if self._form == "basic":
            _only(network, LSTM(network.units, network.activation, network.forget_bias))
            return tf.nn.rnn_cell.BasicLSTMCell(network.units, network.forget_bias, activation=network.activation)
        clip = network.cell_clip
        own = LSTM(network.units, "tanh", network.forget_bias, network.peepholes, None, clip, None, clip is not None)
        _only(network, LSTM(network.units, forget_bias=0.0) if self._form == "cudnn" else own, dtype)
        if self._form == "cudnn":
            return cudnn_rnn.CudnnCompatibleLSTMCell(network.units)
        arguments = {"forget_bias": network.forget_bias, "cell_clip": clip, "use_peephole": network.peepholes}
        if self._form == "fused":
            return _Whole(rnn.LSTMBlockFusedCell(network.units, **arguments), network)
        return rnn.LSTMBlockCell(network.units, **arguments)

    def variables(self, network: LSTM) -> dict[str, str]:
        scopes = {"basic": "basic_lstm_cell/", "cudnn": "cudnn_compatible_lstm_cell/", "fused": "lstm_fused_cell/"}
        scope = scopes.get(self._form, "lstm_cell/")
        return {name: scope + name for name in network.weights(1)}


class _GRU:
    def __init__(self, form: str) -> None:
        self._form = form

    def cell(self, network: GRU, dtype: Any, masks: Any | None = None) -> Any:
        from tensorflow.contrib import cudnn_rnn, rnn

        if network.reset_after:
            _only(network, GRU(network.units, reset_after=True))
            return cudnn_rnn.CudnnCompatibleGRUCell(network.units)
        if self._form != "block":
            return gru.cell(network, dtype)
        _only(network, GRU(network.units), dtype)
        return rnn.GRUBlockCellV2(network.units)

    variables = staticmethod(gru.variables)


def _only(network: Any, expected: Any, dtype: Any = tf.float32) -> None:
    if tf.as_dtype(dtype) != tf.float32:
        raise NotGenuineError("TensorFlow's block cells are float32")
    if network != expected:
        raise NotGenuineError("TensorFlow's class computes %s, not %s" % (expected, network))


class _LayerNormLSTM:
    def cell(self, network: LayerNormLSTM, dtype: Any, masks: Any | None = None) -> Any:
        from tensorflow.contrib import rnn

        return rnn.LayerNormBasicLSTMCell(
            network.units,
            network.forget_bias,
            activation=tf.keras.activations.get(network.activation),
            dropout_keep_prob=1.0 if masks is None else network.candidate_keep,
            dropout_prob_seed=_seed_of(masks, "candidate", network.masks(1)),
        )

    variables = staticmethod(layer_norm_lstm.variables)


class _Keras:
    """Keras's own step on the variables of the reference's cell, or Keras's layer itself."""

    def __init__(self, page: Any, reference: Any, form: str) -> None:
        self.variables = page.variables
        self._reference = reference
        self._form = form

    def cell(self, network: Any, dtype: Any, masks: Any | None = None) -> Any:
        arguments = {field.name: getattr(network, field.name) for field in fields(network)}
        kind = "LSTM" if isinstance(network, KerasLSTM) else "GRU"
        if self._form == "layer":
            given = dict(arguments, return_sequences=True, return_state=True, dtype=dtype, name=kind.lower())
            return _Whole(getattr(tf.keras.layers, kind)(**given), network)

        class Cell(self._reference):  # type: ignore[misc, name-defined]
            def call(self, inputs: Any, state: Any) -> Any:
                keras = getattr(tf.keras.layers, kind + "Cell")(**arguments)
                keras.kernel, keras.recurrent_kernel, keras.bias = self._kernel, self._recurrent_kernel, self._bias
                output, new = keras.call(inputs, tf.nest.flatten(state)[::-1])  # Keras's state is [h, c]
                return output, tf.nest.pack_sequence_as(state, new[::-1])

        return Cell(network, dtype)


# What is unrolled whole


class _Whole:
    """A layer of TensorFlow's that unrolls itself, where tf_reference has a cell for dynamic_rnn."""

    def __init__(self, layer: Any, network: Any) -> None:
        self.layer = layer
        sizes = tuple(network.state.values())
        self.state_size = sizes[0] if len(sizes) == 1 else tf.nn.rnn_cell.LSTMStateTuple(*sizes)
        self.output_size = network.output_size


def _dynamic_rnn(
    original: Callable[..., Any], cell: Any, inputs: Any, lengths: Any = None, state: Any = None, scope: Any = "rnn"
) -> Any:
    if not isinstance(cell, _Whole):
        return original(cell, inputs, lengths, state, scope)
    if isinstance(cell.layer, tf.keras.layers.RNN):
        return _keras_layer(cell.layer, inputs, lengths, state, scope)
    with tf.variable_scope(scope):
        outputs, final = cell.layer(tf.transpose(inputs, [1, 0, 2]), state, inputs.dtype, lengths)
    return tf.transpose(outputs, [1, 0, 2]), final


def _keras_layer(layer: Any, inputs: Any, lengths: Any, state: Any, scope: Any) -> Any:
    """Past the end, where Keras repeats the last output, zeros. Keras's state is [h, c]."""
    mask = None if lengths is None else tf.sequence_mask(lengths, tf.shape(inputs)[1])
    with tf.name_scope(scope + "/"):
        outputs, *final = layer(inputs, mask=mask, initial_state=tf.nest.flatten(state)[::-1])
    if mask is not None:
        outputs = tf.where(tf.broadcast_to(mask[:, :, None], tf.shape(outputs)), outputs, tf.zeros_like(outputs))
    return outputs, tuple(final[::-1])


class _Layers:
    cell, variables = staticmethod(layers.cell), staticmethod(layers.variables)
    unrolled_variables = staticmethod(layers.unrolled_variables)

    def unroll(self, network: Layers, given: Given, make: Any, unroll: Any, scope: Any) -> Any:
        """contrib's own where every layer reads in both directions and none has masks to be given."""
        from tensorflow.contrib import rnn

        if given.masks or not all(isinstance(each, Bidirectional) for each in network.layers):
            return layers.unroll(network, given, make, unroll, scope)
        cells = [[make(each.forward), make(each.backward)] for each in network.layers]
        stack = rnn.stack_bidirectional_rnn if given.static else rnn.stack_bidirectional_dynamic_rnn
        initial = [
            [
                unrolling.states.from_parts(cell, given.below("cell_%d/%s/" % (number, name)).initial_state)
                for cell, name in zip(pair, ("fw", "bw"))
            ]
            for number, pair in enumerate(cells)
        ]
        forward, backward = ([pair[way] for pair in cells] for way in (0, 1))
        outputs, *final = stack(
            forward,
            backward,
            given.inputs,
            [pair[0] for pair in initial],
            [pair[1] for pair in initial],
            given.dtype,
            given.lengths,
            scope=scope,
        )
        state = {}
        for number, each in enumerate(network.layers):
            for name, one, states in zip(("fw", "bw"), (each.forward, each.backward), final):
                state.update(prefixed("cell_%d/%s/" % (number, name), unrolling.states.parts(one, states[number])))
        return outputs, state


# Dropout

_MASKS: dict[int, Any] = {}  # the mask that stands for the draw with this seed


def _seed_of(masks: Any | None, name: str, names: Any) -> int:
    seed = 10**6 + len(_MASKS)
    _MASKS[seed] = (lambda: masks[name]) if masks is not None and name in names else None
    return seed


def _masks_for_draws(original: Callable[..., Any], shape: Any, *arguments: Any, **named: Any) -> Any:
    """A mask's 1 is at or above every rate, and floor(keep + 1) is 1; its 0 is below every rate, floor(keep) is 0."""
    seed = named.get("seed")
    if seed not in _MASKS:
        return original(shape, *arguments, **named)
    mask = _MASKS[seed]
    # A variational wrapper also draws what it does not use.
    return tf.zeros(shape, named["dtype"]) if mask is None else tf.reshape(mask(), shape)


class _Dropout:
    def cell(self, network: Dropout, make: Any, masks: Any | None = None) -> Any:
        if masks is None:
            return make(network.network)
        names = network.masks(1)

        class Wrapper(tf.nn.rnn_cell.DropoutWrapper):
            def _gen_seed(self, salt_prefix: str, index: int) -> int:
                part = "state/" + list(network.state)[index]
                return _seed_of(masks, {"input": "inputs", "state": part, "output": "outputs"}[salt_prefix], names)

        return Wrapper(
            make(network.network, masks=masks.below("inner/")),
            network.input_keep,
            network.output_keep,
            network.state_keep,
            network.variational,
            masks["inputs"].shape[-1] if "inputs" in names else None,
            make.keywords["dtype"],
        )

    variables = staticmethod(dropout.variables)
