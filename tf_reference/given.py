"""What a network is unrolled over."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple

from tf_reference import states
from tf_reference.tf1 import tf

__all__ = ["Given"]


class Given(NamedTuple):
    """inputs: [batch, steps, inputs], or where static, a list of its steps. lengths: integers [batch]. initial_state:
    each part [batch, width]. masks: each [batch, steps, width], or [width]. All but the inputs may be None."""

    inputs: Any
    lengths: Any | None
    initial_state: Mapping[str, Any] | None
    masks: Mapping[str, Any] | None
    static: bool

    @property
    def dtype(self) -> Any:
        return tf.nest.flatten(self.inputs)[0].dtype

    def below(self, prefix: str) -> Given:
        """For the network whose parts and masks have this prefix."""
        return self._replace(
            initial_state=states.below(prefix, self.initial_state), masks=states.below(prefix, self.masks)
        )
