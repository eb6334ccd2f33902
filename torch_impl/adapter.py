"""This library as the shared test spec sees it: NumPy arrays and plain values in and out.

Cells, models and optimizers arrive as named tuples, of which only the attributes are used:
cell (kind, units, activation), model (kind, cell, inputs, outputs, projection), optimizer (learning_rate, beta1, beta2,
epsilon). Weights are in canonical form (see `conversion`), and their dtype is that of the whole call. Every argument
that breaks a rule raises ValueError.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import skip_init

from torch_impl.adapter_decoding import DecodingMethods
from torch_impl.arrays import dtype_of, floats, floats_like, integers, optional_lengths, to_numpy
from torch_impl.cells.basic_rnn import BasicRNNCell, two_step
from torch_impl.losses import in_top_k
from torch_impl.models import AnyModel, Classifier, Regressor, Speller
from torch_impl.training.trainer import Trainer
from torch_impl.unrolling.dynamic import dynamic_rnn
from torch_impl.unrolling.paths import wanted_path
from torch_impl.unrolling.static import static_rnn

Arrays = dict[str, np.ndarray]
START = END = 0  # of the contract's spellers

CAPABILITIES = frozenset(
    ["two_step", "static_rnn", "dynamic_rnn", "lengths", "initial_state", "gradients", "in_top_k", "initial_weights"]
    + ["classifier", "regressor", "speller", "decoding", "training", "tanh", "relu", "float32", "float64"]
)


def backend(device: str = "cpu", threads: int | None = None) -> TorchBackend:
    """The backend on a device ("cpu", "cuda", "cuda:1"); threads: of PyTorch's CPU kernels, None to leave them.

    On a GPU, TF32 is switched off for the process. Raises ValueError for a device that is not there.
    """
    _live_beside_tensorflow()
    return TorchBackend(device, threads)


def _live_beside_tensorflow() -> None:
    """Keep a process that holds both frameworks from aborting.

    PyTorch's optimizers import Triton where it is installed. Triton and TensorFlow each bring an LLVM, and the process
    ends with "LLVM ERROR: inconsistency in registered CommandLine options" when Triton's is loaded second. So it is
    loaded here, before TensorFlow; where TensorFlow came first it is left out, which nothing here misses.
    """
    if "tensorflow" not in sys.modules:
        with contextlib.suppress(ImportError):
            importlib.import_module("triton._C.libtriton")
    elif "triton._C.libtriton" not in sys.modules:
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own mark of a module not to import


class TorchBackend(DecodingMethods):
    """See `backend`. No method depends on an earlier call, or touches the global random state."""

    name = "torch_impl"
    capabilities = CAPABILITIES
    expected_failures: Mapping[str, str] = {}

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        try:
            self.device = torch.device(device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0].partition(". ")[0]
            raise ValueError(f"device {device!r} cannot be used here ({reason}); 'cpu' always can") from None
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        if self.device.type == "meta":
            raise ValueError("device 'meta' holds no values to compute with; 'cpu' always can be used")
        wanted_path()  # a wrong UNROLLED_PATH is found here, not in the middle of a training
        if threads is not None:
            if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
                raise ValueError(f"threads must be an integer of at least 1, got {threads!r}")
            torch.set_num_threads(threads)

    def describe(self) -> dict[str, str]:
        """Plain facts for the header of a run."""
        device = str(self.device)
        if self.device.type == "cuda":
            device += f" ({torch.cuda.get_device_name(self.device)}, TF32 off)"
        return {
            "framework": "PyTorch",
            "version": torch.__version__,
            "python": platform.python_version(),
            "device": device,
            "threads": str(torch.get_num_threads()),
        }

    def two_step(self, cell: Any, weights: Arrays, x0: np.ndarray, x1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """x0, x1 [batch, inputs] -> (y0, y1), each [batch, units]."""
        module = self._cell(cell, weights, x0)
        first = floats_like("x0", x0, module.bias, ("batch", module.inputs))
        second = floats_like("x1", x1, module.bias, (len(x0), module.inputs))
        with torch.no_grad():
            y0, y1 = two_step(first, second, module.weight_ih.T, module.weight_hh.T, module.bias, module.activation)
        return to_numpy(y0), to_numpy(y1)

    def static_rnn(
        self,
        cell: Any,
        weights: Arrays,
        inputs: Sequence[np.ndarray],
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """inputs: a list of `steps` arrays [batch, inputs] -> (list of [batch, units], state [batch, units])."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            found = "an empty one" if isinstance(inputs, (list, tuple)) else type(inputs).__name__
            raise ValueError(f"inputs must be a list of arrays [batch, inputs], one per step, got {found}")
        module = self._cell(cell, weights, inputs[0])
        steps = [floats_like(f"inputs[{i}]", x, module.bias, ("batch", module.inputs)) for i, x in enumerate(inputs)]
        state = self._state(module, initial_state)
        with torch.no_grad():
            outputs, last = static_rnn(module, steps, optional_lengths(lengths), state)
        return [to_numpy(y) for y in outputs], to_numpy(last)

    def dynamic_rnn(
        self,
        cell: Any,
        weights: Arrays,
        inputs: np.ndarray,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """inputs [batch, steps, inputs] -> (outputs [batch, steps, units], state [batch, units])."""
        module = self._cell(cell, weights, inputs)
        x = floats_like("inputs", inputs, module.bias, ("batch", "steps", module.inputs))
        state = self._state(module, initial_state)
        with torch.no_grad():
            outputs, last = dynamic_rnn(module, x, optional_lengths(lengths), state)
        return to_numpy(outputs), to_numpy(last)

    def rnn_gradients(
        self,
        cell: Any,
        weights: Arrays,
        inputs: np.ndarray,
        output_gradients: np.ndarray | None = None,
        state_gradient: np.ndarray | None = None,
        lengths: np.ndarray | None = None,
        initial_state: np.ndarray | None = None,
        unrolling: str = "dynamic",
    ) -> Arrays:
        """A cost's gradients by kernel, bias, inputs and initial_state, from its derivatives by outputs and state."""
        if output_gradients is None and state_gradient is None:
            raise ValueError("one of output_gradients and state_gradient must be given, got neither")
        if unrolling not in ("static", "dynamic"):
            raise ValueError(f"unrolling must be 'static' or 'dynamic', got {unrolling!r}")
        module = self._cell(cell, weights, inputs)
        x = floats_like("inputs", inputs, module.bias, ("batch", "steps", module.inputs)).requires_grad_()
        batch, steps, _ = x.shape
        state = self._state(module, initial_state)
        state = (module.zero_state(batch) if state is None else state).requires_grad_()
        limits = optional_lengths(lengths)
        if unrolling == "static":
            listed, last = static_rnn(module, list(x.unbind(1)), limits, state)
            outputs = torch.stack(listed, 1)
        else:
            outputs, last = dynamic_rnn(module, x, limits, state)
        costs, derivatives = [], []
        if output_gradients is not None:
            costs.append(outputs)
            shape = (batch, steps, module.units)
            derivatives.append(floats_like("output_gradients", output_gradients, module.bias, shape))
        if state_gradient is not None:
            costs.append(last)
            derivatives.append(floats_like("state_gradient", state_gradient, module.bias, (batch, module.units)))
        torch.autograd.backward(costs, derivatives)
        assert x.grad is not None and state.grad is not None
        return {**module.canonical_gradients(), "inputs": to_numpy(x.grad), "initial_state": to_numpy(state.grad)}

    def in_top_k(self, logits: np.ndarray, targets: np.ndarray, k: int = 1) -> np.ndarray:
        """logits [batch, classes], targets [batch] -> bool [batch]."""
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"k must be an integer of at least 1, got {k!r}")
        labels = integers("targets", targets)
        return to_numpy(in_top_k(floats("logits", logits, self.device), labels.to(self.device), int(k)))

    def initial_weights(self, model: Any, seed: int) -> Arrays:
        """Freshly drawn float32 weights, TF1's defaults; drawn on the CPU, so that a seed means the same everywhere."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
            raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed!r}")
        module = _model(model, torch.float32, torch.device("cpu"))
        module.reset_parameters(torch.Generator().manual_seed(int(seed)))
        return module.canonical_weights()

    def forward(self, model: Any, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """inputs [batch, steps, inputs] -> logits [batch, outputs], predictions [batch, steps, outputs], or the
        logits [batch, max_steps, outputs] of a speller's own decoding."""
        module = self._loaded(model, weights)
        with torch.no_grad():
            return to_numpy(module(self._sequences(module, inputs), optional_lengths(lengths)))

    def predict(self, model: Any, weights: Arrays, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """A classifier's classes, int64 [batch]; a regressor's predictions; a speller's tokens [batch, max_steps]."""
        module = self._loaded(model, weights)
        with torch.no_grad():
            return to_numpy(module.predict(self._sequences(module, inputs), optional_lengths(lengths)))

    def loss(
        self, model: Any, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
    ) -> float:
        """The mean loss."""
        with torch.no_grad():
            return float(self._loss(self._loaded(model, weights), inputs, targets, lengths))

    def loss_gradients(
        self, model: Any, weights: Arrays, inputs: np.ndarray, targets: np.ndarray, lengths: np.ndarray | None = None
    ) -> tuple[float, Arrays]:
        """The mean loss and its gradient by each weight."""
        module = self._loaded(model, weights)
        loss = self._loss(module, inputs, targets, lengths)
        loss.backward()
        return float(loss.detach()), module.canonical_gradients()

    def train(
        self,
        model: Any,
        weights: Arrays,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        batches: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
    ) -> tuple[np.ndarray, Arrays, Arrays]:
        """One optimizer step per row of batches -> (losses [iterations], weights, slots)."""
        trainer = self.trainer(model, weights, optimizer, inputs, targets, lengths, slots)
        losses = trainer.run(batches)
        return losses, trainer.weights(), trainer.slots()

    def trainer(
        self,
        model: Any,
        weights: Arrays,
        optimizer: Any,
        inputs: np.ndarray,
        targets: np.ndarray,
        lengths: np.ndarray | None = None,
        slots: Arrays | None = None,
        precision: str = "fp32",
    ) -> NumpyTrainer:
        """What `train` does, kept: `run(batches)` as often as wanted, `forward`, `weights` and `slots` in between.

        precision: see `training.Trainer`.
        """
        module = self._loaded(model, weights)
        values = self._sequences(module, inputs), self._targets(module, targets), optional_lengths(lengths)
        return NumpyTrainer(self, Trainer(module, optimizer, *values, slots=slots, precision=precision))

    def _cell(self, cell: Any, weights: Mapping[str, Any], inputs: Any) -> BasicRNNCell:
        """The cell of these weights, for an array of inputs [..., inputs], of which only that size is used."""
        _check_kind(cell)
        kernel, dtype = weights.get("kernel"), dtype_of(weights)
        assert isinstance(kernel, np.ndarray)
        size = inputs.shape[-1] if isinstance(inputs, np.ndarray) and inputs.ndim else "inputs"
        rows = size + cell.units if isinstance(size, int) else len(kernel) if kernel.ndim else 0
        if kernel.shape != (rows, cell.units) or rows <= cell.units:
            raise ValueError(
                f"weight 'kernel' must be [inputs + units, units] = [{size} + {cell.units}, {cell.units}] for inputs "
                f"of {size} values per step, got {list(kernel.shape)}"
            )
        settings = {"device": self.device, "dtype": dtype}
        module = skip_init(BasicRNNCell, rows - cell.units, cell.units, cell.activation, **settings)
        module.load_canonical(weights)
        return module

    def _loaded(self, model: Any, weights: Mapping[str, Any]) -> AnyModel:
        first = "encoder/kernel" if model.kind == "speller" else "kernel"
        module = _model(model, dtype_of(weights, first), self.device)
        module.load_canonical(weights)
        return module

    def _loss(self, module: AnyModel, inputs: Any, targets: Any, lengths: Any) -> Tensor:
        x, y = self._sequences(module, inputs), self._targets(module, targets)
        module.check_targets(y, module.prediction_shape(*x.shape[:2]))
        return module._training_loss(x, y, optional_lengths(lengths))

    def _sequences(self, module: AnyModel, inputs: Any) -> Tensor:
        return floats_like("inputs", inputs, module.input_cell.bias, ("batch", "steps", module.input_cell.inputs))

    def _targets(self, module: AnyModel, targets: Any) -> Tensor:
        if isinstance(module, Regressor):
            return floats_like("targets", targets, module.dense.bias, ("batch", "steps", module.dense.out_features))
        return integers("targets", targets).to(self.device)

    def _state(self, module: BasicRNNCell, state: Any) -> Tensor | None:
        return None if state is None else floats_like("initial_state", state, module.bias, ("batch", module.units))


class NumpyTrainer:
    """`training.Trainer` with NumPy arrays in and out."""

    def __init__(self, backend: TorchBackend, trainer: Trainer) -> None:
        self._backend = backend
        self._trainer = trainer

    def run(self, batches: np.ndarray) -> np.ndarray:
        """One optimizer step per row of batches, integers [iterations, batch] -> losses [iterations]."""
        return self._trainer.run(integers("batches", batches))

    def forward(self, inputs: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
        """Logits or predictions with the weights of now."""
        x = self._backend._sequences(self._trainer.model, inputs)
        return to_numpy(self._trainer.forward(x, optional_lengths(lengths)))

    def weights(self) -> Arrays:
        """A copy of the weights, in canonical form."""
        return self._trainer.weights()

    def slots(self) -> Arrays:
        """A copy of the optimizer's state, under TF1's names."""
        return self._trainer.slots()


def _check_kind(cell: Any) -> None:
    if cell.kind != "basic_rnn":
        raise ValueError(f"cell.kind must be 'basic_rnn', got {cell.kind!r}")


def _model(model: Any, dtype: torch.dtype, device: torch.device) -> AnyModel:
    """The module for a model, its parameters not yet set."""
    _check_kind(model.cell)
    sizes = (model.inputs, model.cell.units, model.outputs, model.cell.activation)
    if model.kind == "classifier":
        return skip_init(Classifier, *sizes, device=device, dtype=dtype)
    if model.kind == "regressor":
        return skip_init(Regressor, *sizes, model.projection, device=device, dtype=dtype)
    if model.kind == "speller":
        tokens = (model.inputs, model.cell.units, model.outputs, model.max_steps, model.cell.activation, START, END)
        return skip_init(Speller, *tokens, device=device, dtype=dtype)
    raise ValueError(f"model.kind must be 'classifier', 'regressor' or 'speller', got {model.kind!r}")
