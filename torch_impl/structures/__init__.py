"""Networks made of networks: a file for each kind."""

from torch_impl.structures.bidirectional import Bidirectional
from torch_impl.structures.dropout import Dropout
from torch_impl.structures.layers import Layers, layered
from torch_impl.structures.residual import Residual
from torch_impl.structures.structure import Structure

__all__ = ["STRUCTURES", "Bidirectional", "Dropout", "Layers", "Residual", "Structure", "layered"]

# The class for each kind of network (unrolled.networks) that is made of networks.
STRUCTURES: dict[str, type[Structure]] = {kind.kind: kind for kind in (Layers, Bidirectional, Residual, Dropout)}
