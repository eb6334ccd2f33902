"""What each kind of cell computes from its products, one step of some rows, and its derivative: kernels in Numba.

forward(stage, z, z_row, old, new, row, width, extra, rows): z holds the products' results, its blocks `width` apart,
and is left with the gates; old and new are the rows of HISTORY before and after the step. Of a kind with two stages the
first leaves in old's extra what the second's product reads.

backward(stage, z, z_row, old, new, row, width, extra, rows, below, carry, middle): from the gradient by the state after
the step in `below` [rows, width], turn z into that by the products' results. carry and middle: see `kinds.kind`.
"""

FORWARD, BACKWARD = "ififfiiii", "ififfiiiifff"  # their arguments: see `jit.kernel`
