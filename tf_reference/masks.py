"""Dropout's masks on their way to the cells that read them.

TensorFlow's cells take inputs and a state, and nothing else. So the masks that differ from step to step go through the
loop beside the inputs, as nested inputs, which TensorFlow's unrollers take. The outermost cell puts down the masks of
the step, and calls the network's with the inputs alone; the cells within pick them up as they build the step.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from tf_reference.given import Given
from tf_reference.tf1 import tf
from unrolled.networks import Network

__all__ = ["CellAround", "StepMasks", "beside"]


class StepMasks:
    """The masks of the step that is being built, [batch, width] or [width], by the names that a network has them."""

    def __init__(self, masks: Mapping[str, Any], prefix: str = "") -> None:
        """masks: read whenever a step is built, by then those of the step."""
        self._masks = masks
        self._prefix = prefix

    def __getitem__(self, name: str) -> Any:
        return self._masks[self._prefix + name]

    def below(self, prefix: str) -> StepMasks:
        """Those of a network within."""
        return StepMasks(self._masks, self._prefix + prefix)


class CellAround:
    """A cell around a cell, whose sizes and zero state are the other's. Like TensorFlow's wrappers, it is no layer, and
    adds nothing to the names."""

    def __init__(self, cell: Any) -> None:
        self._cell = cell

    @property
    def state_size(self) -> Any:
        return self._cell.state_size

    @property
    def output_size(self) -> Any:
        return self._cell.output_size

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        return self._cell.zero_state(batch_size, dtype)


class _Unpacked(CellAround):
    """A cell whose inputs are a tuple, the cell's own and the step's masks, which it puts down under their names."""

    def __init__(self, cell: Any, names: list[str], masks: dict[str, Any]) -> None:
        super().__init__(cell)
        self._names = names
        self._masks = masks

    def __call__(self, inputs: Any, state: Any) -> Any:
        self._masks.update(zip(self._names, inputs[1:]))
        return self._cell(inputs[0], state)


def beside(networks: Mapping[str, Network], make: Callable[..., Any], given: Given) -> tuple[dict[str, Any], Any]:
    """The cells of networks that read the same inputs, and those inputs with the masks of each step beside them.

    networks: by the prefix that their masks have. make(network, masks=None): a network's cell; its masks: a StepMasks.
    """
    if not given.masks:
        return {prefix: make(network) for prefix, network in networks.items()}, given.inputs
    by_step = {name: mask for name, mask in given.masks.items() if mask.shape.ndims == 3}
    now = dict(given.masks)
    cells = {
        prefix: _Unpacked(make(network, masks=StepMasks(now, prefix)), list(by_step), now)
        for prefix, network in networks.items()
    }
    if given.static:
        return cells, list(zip(given.inputs, *[tf.unstack(mask, axis=1) for mask in by_step.values()]))
    return cells, (given.inputs, *by_step.values())
