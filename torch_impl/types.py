"""Types that the arguments of many functions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor

__all__ = ["Lengths"]

# Integers [batch], each from 0 to steps; None: every row has all steps.
Lengths: TypeAlias = "Tensor | np.ndarray | Sequence[int] | None"
