"""A page for each kind of network that is made of networks. Each function is of the network's value; what it needs of
the networks within comes in as a function.

One that goes step by step has a cell of TensorFlow's, for `unrolling` to repeat:

    cell(network, make, masks)      as in `cells`; make(network, masks=None): that of one within
    variables(network, names)       as in `cells`; names(network): those of a network within

One that reads in two directions has no cell, and is unrolled by its page; `scope`: None is TF1's own:

    unroll(network, given, make, unroll, scope)       as `unrolling.unroll`, of a `given.Given`; unroll(network, given,
                                                      scope): the same of a network within
    unrolled_variables(network, names, unrolled, scope, static)
                                                      canonical name -> the variable's whole name; unrolled(network,
                                                      scope, static): the same of a network within
"""

from __future__ import annotations

from typing import Any

from tf_reference.structures import bidirectional, dropout, layers, residual

__all__ = ["STRUCTURES"]

STRUCTURES: dict[str, Any] = {
    "layers": layers,
    "bidirectional": bidirectional,
    "residual": residual,
    "dropout": dropout,
}
