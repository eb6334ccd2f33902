"""A run that `convert` made, taken up by `train --resume`: weights, Adam's state and a step, but no plan of training.

The data and the plan are what the options say, and the model, Adam's settings and the norm of clipping the run's own.
What `convert` keeps for the way back stays in every checkpoint that follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch_impl.checkpoints.errors import CheckpointError
from unrolled.models import Model, from_plain
from unrolled.networks import GRU, Bidirectional, Layers, to_plain, within
from unrolled.programs import Adam, adam_from_plain

if TYPE_CHECKING:
    import numpy as np

    from torch_impl.checkpoints.run_files import Checkpoint

__all__ = ["NETWORK_OPTIONS", "adopt", "first_options", "is_converted", "kept", "kept_tensors", "model_of"]

NETWORK_OPTIONS = ("cell", "units", "layers", "bidirectional", "dropout", "activation", "projection")
_KEPT = ("tf1_names", "tf1_step_dtype", "tf1")


def is_converted(state: Mapping[str, Any]) -> bool:
    """Whether a checkpoint is of a run that `convert` made, resumed or not."""
    return isinstance(state.get("tf1_names"), dict)


def model_of(state: Mapping[str, Any], where: str) -> Model:
    """Its model; CheckpointError for one that no command trains."""
    try:
        model = from_plain(state.get("model"))
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}; convert it again") from None
    if model.kind not in ("classifier", "regressor") or model.embedding:
        reads = "tokens" if model.embedding else "values"
        raise CheckpointError(
            f"{where}: holds a {model.kind} of {reads}, which no `train` command has data for; go on from Python: "
            "torch_impl.load_run(folder).trainer(inputs, targets)"
        )
    return model


def first_options(state: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options' defaults when such a run is first resumed: what it says, and data as they are, since TensorFlow's
    were fed so."""
    model, optimizer = model_of(state, where), _adam(state, where)
    cell = within(model.network)[-1]
    options = {
        "cell": "gru_reset_after" if isinstance(cell, GRU) and cell.reset_after else cell.kind,
        "units": getattr(cell, "units", None),
        "activation": getattr(cell, "activation", None),
        "layers": len(model.network.layers) if isinstance(model.network, Layers) else 1,
        "bidirectional": any(isinstance(each, Bidirectional) for each in within(model.network)),
        "projection": model.projection,
        "learning_rate": optimizer.learning_rate,
        "clip_norm": state.get("clip_norm"),
        "seeds": 1,  # further trainings would begin anew
        "scale": False,
        "reading": "level",
    }
    return {name: value for name, value in options.items() if value is not None}


def adopt(task: Any, options: Mapping[str, Any]) -> None:
    """Give the task the model and Adam of the run that is resumed, where that came from TensorFlow; CheckpointError
    where the data are not for it."""
    from torch_impl.tf1.listing import described

    resumed = options["resume"]
    if resumed is None or not is_converted(resumed.checkpoint.state):
        return
    state, where = resumed.checkpoint.state, resumed.where
    model, wanted = model_of(state, where), task.model
    if (model.kind, model.inputs, model.outputs) != (wanted.kind, wanted.inputs, wanted.outputs):
        raise CheckpointError(
            f"{where}: holds {described(model)}, and the data are for a {wanted.kind} of {wanted.inputs} inputs and "
            f"{wanted.outputs} outputs; give `train {model.kind}` the data that it is for"
        )
    if len(task.seeds) > 1:
        raise CheckpointError(
            f"{where}: came from TensorFlow, and of {len(task.seeds)} trainings all but the first would begin from "
            "random weights; give --seeds 1"
        )
    task.model = model
    task.optimizer = _adam(state, where)._replace(learning_rate=options["learning_rate"])
    task.facts["hyperparameters"].update(
        network=to_plain(model.network), optimizer=dict(task.optimizer._asdict(), kind="adam")
    )
    step = state.get("step")
    after = "" if type(step) is not int else f", after {step} steps"
    task.header.append(f"goes on with {described(model)}{after}")


def kept(state: Mapping[str, Any]) -> dict[str, Any]:
    """What of its state stays, for the way back; a step that is not known stays so."""
    found = {name: state[name] for name in _KEPT if name in state} if is_converted(state) else {}
    return {**found, "step": None} if found and state.get("step") is None else found


def kept_tensors(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The tensors that stay: variables that are no part of the model."""
    return {name: array for name, array in checkpoint.tensors.items() if name.startswith("tf1/")}


def _adam(state: Mapping[str, Any], where: str) -> Adam:
    try:
        return adam_from_plain(state.get("optimizer"))
    except ValueError:
        raise CheckpointError(f"{where}: does not tell Adam's settings; convert it again") from None
