"""What a backend answers, checked for it: tuples, dicts, arrays, dtypes and shapes, never the numbers.

`EXPECTED` says of each method of the contract what it returns for given arguments; `Checked` is a backend that is held
to it, so that a wrong answer is one sentence and not whatever a test stumbles over. Python 3.7 syntax, NumPy alone.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping, NamedTuple, Sequence

import numpy as np

__all__ = ["EXPECTED", "Checked", "WrongAnswerError"]

_SEVERAL = ("outputs", "tokens", "lengths", "losses", "weights", "slots", "gradients")  # parts named in the plural


class WrongAnswerError(AssertionError):
    """A backend returned what the contract does not promise; the message says of which method, and what."""


class Array(NamedTuple):
    """A NumPy array. A text in the shape stands for a size that the answer chooses: the same one each time."""

    dtype: np.dtype
    shape: Sequence[Any]

    def __str__(self) -> str:
        return "%s [%s]" % (self.dtype, ", ".join(map(str, self.shape)))


class Number(NamedTuple):
    """A float, NumPy's own included."""

    def __str__(self) -> str:
        return "a float"


class Steps(NamedTuple):
    """A list of so many arrays, all alike."""

    length: int
    each: Array

    def __str__(self) -> str:
        return "a list of %d arrays %s" % self


class Parts(NamedTuple):
    """A dict with exactly these names."""

    forms: Mapping[str, Any]

    def __str__(self) -> str:
        return "a dict of %s" % ", ".join(self.forms)


class Several(NamedTuple):
    """A tuple of what is named, in this order."""

    forms: Mapping[str, Any]

    def __str__(self) -> str:
        return "(%s)" % ", ".join(self.forms)


BOOL, INT64, FLOAT32 = np.dtype(bool), np.dtype(np.int64), np.dtype(np.float32)


def _like(weights: Mapping[str, Any], *more: tuple[str, Any]) -> Parts:
    """Arrays of the weights' names, dtypes and shapes, and more."""
    forms: dict[str, Any] = {name: Array(array.dtype, array.shape) for name, array in weights.items()}
    return Parts(dict(forms, **dict(more)))


def _dtype(weights: Mapping[str, Any]) -> np.dtype:
    return next(iter(weights.values())).dtype


def _state(network: Any, weights: Mapping[str, Any], batch: int, prefix: str = "") -> dict[str, Any]:
    return {prefix + name: Array(_dtype(weights), (batch, width)) for name, width in network.state.items()}


def _batch(initial_state: Mapping[str, Any]) -> int:
    return len(next(iter(initial_state.values())))


# What each method returns, from its arguments as the contract names them.


def _two_step(network: Any, weights: Any, x0: Any, x1: Any) -> Any:
    y = Array(_dtype(weights), (len(x0), network.output_size))
    return Several({"y0": y, "y1": y})


def _static_rnn(network: Any, weights: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
    batch = len(inputs[0])
    outputs = Steps(len(inputs), Array(_dtype(weights), (batch, network.output_size)))
    return Several({"outputs": outputs, "state": Parts(_state(network, weights, batch))})


def _dynamic_rnn(network: Any, weights: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
    batch, steps, _ = inputs.shape
    outputs = Array(_dtype(weights), (batch, steps, network.output_size))
    return Several({"outputs": outputs, "state": Parts(_state(network, weights, batch))})


def _rnn_gradients(network: Any, weights: Any, inputs: Any, *rest: Any, **named: Any) -> Any:
    initial = _state(network, weights, len(inputs), "initial_state/")
    return _like(dict(weights, inputs=inputs), *initial.items())


def _decode(network: Any, weights: Any, initial_state: Any, start: int, end: int, max_steps: int) -> Any:
    batch = _batch(initial_state)
    return Several(
        {
            "tokens": Array(INT64, (batch, "steps")),
            "lengths": Array(INT64, (batch,)),
            "finished": Array(BOOL, (batch,)),
            "outputs": Array(_dtype(weights), (batch, "steps", network.output_size)),
            "state": Parts(_state(network, weights, batch)),
        }
    )


def _decode_gradients(network: Any, weights: Any, initial_state: Any, start: int, end: int, tokens: Any) -> Any:
    initial = _state(network, weights, _batch(initial_state), "initial_state/")
    return Several({"loss": Number(), "gradients": _like(weights, *initial.items())})


def _in_top_k(logits: Any, targets: Any, k: int = 1) -> Any:
    return Array(BOOL, (len(logits),))


def _initial_weights(model: Any, seed: int) -> Any:
    return Parts({name: Array(FLOAT32, weight.shape) for name, weight in model.weights().items()})


def _forward(model: Any, weights: Any, inputs: Any, lengths: Any = None) -> Any:
    between = {"classifier": (), "speller": (model.max_steps,)}.get(model.kind, (inputs.shape[1],))
    return Array(_dtype(weights), (len(inputs), *between, model.outputs))


def _predict(model: Any, weights: Any, inputs: Any, lengths: Any = None) -> Any:
    form = _forward(model, weights, inputs)
    return form if model.kind == "regressor" else Array(INT64, form.shape[:-1])


def _loss(model: Any, weights: Any, inputs: Any, targets: Any, lengths: Any = None) -> Any:
    return Number()


def _loss_gradients(model: Any, weights: Any, inputs: Any, targets: Any, lengths: Any = None) -> Any:
    return Several({"loss": Number(), "gradients": _like(weights)})


def _train(
    model: Any, weights: Any, optimizer: Any, inputs: Any, targets: Any, batches: Any, *rest: Any, **named: Any
) -> Any:
    moments = {name + slot: array for name, array in weights.items() for slot in ("/Adam", "/Adam_1")}
    power = Array(FLOAT32, ())
    slots = _like(moments, ("beta1_power", power), ("beta2_power", power))
    return Several({"losses": Array(_dtype(weights), (len(batches),)), "weights": _like(weights), "slots": slots})


EXPECTED: dict[str, Callable[..., Any]] = {
    "two_step": _two_step,
    "static_rnn": _static_rnn,
    "dynamic_rnn": _dynamic_rnn,
    "rnn_gradients": _rnn_gradients,
    "decode": _decode,
    "decode_gradients": _decode_gradients,
    "in_top_k": _in_top_k,
    "initial_weights": _initial_weights,
    "forward": _forward,
    "predict": _predict,
    "loss": _loss,
    "loss_gradients": _loss_gradients,
    "train": _train,
}


class Checked:
    """The backend `inner`, each answer of which is checked. Its name is its own; all else is the backend's.

    A method of the contract raises WrongAnswerError for an answer of another form than the arguments lead to. After
    arguments that lead to none, since they break the contract, anything is returned: a test that gives such ones sees
    that nothing was raised.
    """

    def __init__(self, inner: Any) -> None:
        self.inner, self.name = inner, inner.name

    def __repr__(self) -> str:
        return "Checked(%r)" % self.inner

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "inner":  # of a copy that is not filled yet
            raise AttributeError(attribute)
        found = getattr(self.inner, attribute)
        if attribute not in EXPECTED or not callable(found):
            return found

        def ask(*args: Any, **kwargs: Any) -> Any:
            answer = found(*args, **kwargs)
            try:
                form = EXPECTED[attribute](*args, **kwargs)
            except Exception:
                return answer
            self._check(attribute, form, answer)
            return answer

        return ask

    def _check(self, method: str, form: Any, answer: Any) -> None:
        try:
            wrong = _wrong(form, answer, "", {})
        except Exception as error:  # of a value's own, such as a property that raises
            wrong = " returned what cannot be looked at (%s), expected %s" % (type(error).__name__, form)
        if wrong:
            raise WrongAnswerError("%s: %s%s" % (self.name, method, wrong))


def _wrong(form: Any, found: Any, place: str, sizes: dict[str, int]) -> str:
    """What is wrong with a value, as the end of a sentence that begins with the method; empty where nothing is.

    place: what part of the answer it is, such as "state/h". sizes: of the names in shapes, those met so far.
    """
    if isinstance(form, Array):
        fits = isinstance(found, (np.ndarray, np.generic)) and found.dtype == form.dtype
        fits = fits and _fits(form.shape, np.shape(found), sizes)
        return "" if fits else _said(form._replace(shape=[sizes.get(n, n) for n in form.shape]), found, place)
    if isinstance(form, Number):
        return "" if isinstance(found, (float, np.floating)) else _said(form, found, place)
    if isinstance(form, Steps):
        if not isinstance(found, list) or len(found) != form.length:
            return _said(form, found, place)
        inner = (("%s[%d]" % (place, i), form.each, each) for i, each in enumerate(found))
    elif isinstance(form, Several):
        if not isinstance(found, tuple) or len(found) != len(form.forms):
            return _said(form, found, place)
        inner = ((name, each, value) for (name, each), value in zip(form.forms.items(), found))
    else:
        if not isinstance(found, dict):
            return _said(form, found, place)
        lacking = [name for name in form.forms if name not in found]
        if lacking:
            return _verb(place, " returned no", "lack", "lacks") + " %s, expected %s" % (lacking[0], form)
        more = [name for name in found if name not in form.forms]
        if more:
            return _verb(place, " returned", "have", "has") + " %.60r, too, expected %s" % (more[0], form)
        within = place + "/" if place else ""
        inner = ((within + name, each, found[name]) for name, each in form.forms.items())
    return next(filter(None, (_wrong(each, value, name, sizes) for name, each, value in inner)), "")


def _fits(expected: Sequence[Any], found: tuple[int, ...], sizes: dict[str, int]) -> bool:
    if len(expected) != len(found):
        return False
    return all(size == (sizes.setdefault(n, size) if isinstance(n, str) else n) for n, size in zip(expected, found))


def _said(form: Any, found: Any, place: str) -> str:
    return _verb(place, " returned", "are", "is") + " %s, expected %s" % (_described(found), form)


def _verb(place: str, whole: str, several: str, one: str) -> str:
    """The subject and verb: for the whole answer, for a part named in the plural, for one in the singular."""
    return "'s %s %s" % (place, several if place in _SEVERAL else one) if place else whole


def _described(found: Any) -> str:
    if found is None:
        return "None"
    if isinstance(found, (np.ndarray, np.generic)):
        return "%s %s" % (found.dtype, list(found.shape))
    kind = type(found).__name__
    sized = isinstance(found, (tuple, list, dict))
    return "a %s of %d" % (kind, len(found)) if sized else "a value of type %s" % kind
