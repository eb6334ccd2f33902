"""The masks of dropouts: drawn once for a whole sequence, or given, and handed down to the cells that they belong to.

They are tensors of ones and zeros by the names that `network.masks(inputs)` tells: [batch, steps, width], the steps in
the order in which the network reads, or [width], one for all. Where there is none of a name, nothing is dropped there,
nor scaled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from torch import Tensor

from torch_impl.checks import check_tensor, shown, tracing
from unrolled import networks
from unrolled.networks import Masks as Wanted
from unrolled.networks import Network

__all__ = ["Masks", "below", "by_step", "checked", "drawn", "scaled", "wanted"]

Masks: TypeAlias = "Mapping[str, Tensor]"


def wanted(network: Any, inputs: int) -> Wanted:
    """The masks of a network; none where one of the user's own does not tell."""
    return network.masks(inputs) if hasattr(network, "masks") else {}


def drawn(wanted: Wanted, batch: Any, steps: Any, like: Tensor) -> dict[str, Tensor]:
    """Fresh masks from torch's generator, in dtype and on the device of `like`."""
    found = {}
    for name, mask in wanted.items():
        shape = (batch, steps, mask.width) if mask.per_step else (mask.width,)
        found[name] = like.detach().new_empty(shape).bernoulli_(mask.keep)
    return found


def checked(network: Network, inputs: int, masks: Any, batch: Any, steps: Any, like: Tensor) -> dict[str, Tensor]:
    """The masks, if they are all of this network's; TypeError or ValueError that names the mask otherwise."""
    names = wanted(network, inputs)
    if not isinstance(masks, Mapping):
        raise TypeError(f"masks must be a dict of tensors by name, got {shown(masks)}")
    if set(masks) != set(names):
        expected, found = (", ".join(map(str, each)) or "none" for each in (names, masks))
        raise ValueError(f"masks must be exactly {expected}, got {found}")
    for name, mask in names.items():
        shape = (batch, steps, mask.width) if mask.per_step else (mask.width,)
        check_tensor(f"masks[{name!r}]", masks[name], shape, like)
        if not tracing() and not bool(((masks[name] == 0) | (masks[name] == 1)).all()):
            raise ValueError(f"masks[{name!r}] must be ones and zeros, got others")
    return dict(masks)


def below(prefix: str, masks: Masks | None) -> dict[str, Tensor]:
    """`unrolled.networks.below`; of None, none."""
    return networks.below(prefix, masks or {})


def by_step(masks: Masks, steps: int) -> Iterator[dict[str, Tensor]]:
    """The masks of each step: [batch, width], or [width]."""
    spread = {name: mask.unbind(1) if mask.ndim == 3 else (mask,) * steps for name, mask in masks.items()}
    for step in range(steps):
        yield {name: each[step] for name, each in spread.items()}


def scaled(values: Tensor, mask: Tensor, keep: float) -> Tensor:
    """values * mask / keep, in the values' dtype."""
    return values * (mask / keep).to(values.dtype)
