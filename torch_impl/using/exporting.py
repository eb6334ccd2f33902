"""A run as an ONNX file or a program of torch.export, compared with the run on real inputs before it is written."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from torch_impl.checkpoints.files import write_atomically
from torch_impl.export import ExportError
from torch_impl.models import Regressor, Speller
from torch_impl.runs import Run
from torch_impl.using.inputs import class_names, labelled_rows, read_rows, read_series
from torch_impl.using.series import test_windows
from unrolled.datasets import series
from unrolled.errors import DataError

__all__ = ["Check", "export_run", "inputs_to_check"]

_LIMIT = 1e-5  # of what logits or scaled predictions vary by, 1 at least: what scaled values vary by in training
_ROWS, _STEPS = 200, 2000


class Check(NamedTuple):
    """How far apart run and export were: the largest difference of logits or scaled predictions, what these vary by,
    over so many rows of `source`."""

    difference: float
    varied: float
    rows: int
    source: str


def export_run(
    run: Run, path: Path, form: str, lengths: bool = True, data: Path | None = None, check: bool = True
) -> Check | None:
    """Write the run to `path` as "onnx" or "torch" (torch.export), with the scaling of its data inside.

    lengths: whether the export takes them. data: a file of inputs to check with, None for what the run was trained on.
    The run is given the inputs as they are, in float64. Only what gives its own results, to 1e-5 of what they vary by,
    is written: with float64 inputs where float32 does not hold them well enough. Raises ExportError, DataError or
    CheckpointError.
    """
    inputs = inputs_to_check(run, data) if check else None
    make = _onnx if form == "onnx" else _torch
    try:
        content, call = make(run, lengths, check, None)
        if inputs is None:
            found = None
        else:
            try:
                found = _compared(run, call, *inputs, lengths)
            except ExportError:
                if run.scaling is None:
                    raise
                content, call = make(run, lengths, check, True)
                found = _compared(run, call, *inputs, lengths)
    except ValueError as error:  # a scaling that does not fit
        raise ExportError(f"{run.folder}: cannot be exported ({error})") from None
    write_atomically(path, content)
    return found


def inputs_to_check(run: Run, path: Path | None) -> tuple[np.ndarray, str]:
    """(real inputs [rows, steps, inputs], what to call them): at most 200 rows of the data given or trained on."""
    if not isinstance(run.model, Regressor):
        rows = labelled_rows(run, None) if path is None else read_rows(run, path)
        return rows.inputs[:_ROWS, :_STEPS], rows.source
    if path is not None:
        return read_series(run, path)[1][None, -_STEPS:], str(path)
    if run.data.get("kind") == "table":
        found, source = test_windows(run, None)
        return found.inputs[:_ROWS, -_STEPS:], source
    if run.program == "series":
        return series.prediction_pair().inputs, "the series"
    raise DataError("%s: does not tell what it was trained on; name inputs with --data, or --no-check" % run.folder)


def _facts(run: Run) -> dict[str, str]:
    """What who uses the file needs to know, as JSON by name."""
    facts: dict[str, Any] = {"program": run.program}
    facts.update({name: run.data[name] for name in ("columns", "window", "horizon") if name in run.data})
    if not isinstance(run.model, (Regressor, Speller)):
        facts["classes"] = class_names(run)
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items() if value is not None}


def _onnx(run: Run, lengths: bool, check: bool, wide: bool | None) -> tuple[bytes, Any]:
    from torch_impl.export.onnx_model import build_onnx

    content = build_onnx(run.model, lengths, run.scaling, _facts(run), wide).SerializeToString()
    if not check:
        return content, None
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(
            f"the check needs onnxruntime ({error}); pip install 'unrolled[onnx]', or leave it out with --no-check"
        ) from None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    name = "predictions" if isinstance(run.model, Regressor) else "logits"
    dtype = np.float64 if session.get_inputs()[0].type == "tensor(double)" else np.float32

    def call(inputs: np.ndarray, limits: np.ndarray | None) -> np.ndarray:
        feeds = {"inputs": inputs.astype(dtype), **({} if limits is None else {"lengths": limits})}
        return session.run([name], feeds)[0]

    return content, call


def _torch(run: Run, lengths: bool, check: bool, wide: bool | None) -> tuple[bytes, Any]:
    from torch_impl.export.torch_program import build_program

    stream = io.BytesIO()
    facts = {f"{name}.json": value for name, value in _facts(run).items()}
    torch.export.save(build_program(run.model, lengths, run.scaling, wide), stream, extra_files=facts)
    content = stream.getvalue()
    if not check:
        return content, None
    program = torch.export.load(io.BytesIO(content)).module()
    like = dict(program.named_buffers()).get("shift", next(run.model.parameters()))

    def call(inputs: np.ndarray, limits: np.ndarray | None) -> np.ndarray:
        given = (torch.from_numpy(inputs).to(like.dtype),) + (() if limits is None else (torch.from_numpy(limits),))
        with torch.no_grad():
            found = program(*given)
        return (found[1] if isinstance(run.model, Speller) else found).numpy()

    return content, call


def _compared(run: Run, call: Any, inputs: np.ndarray, source: str, lengths: bool) -> Check:
    """Over whole rows and, where the export takes lengths, rows of all lengths; ExportError beyond the limit."""
    inputs = np.ascontiguousarray(inputs, np.float64)
    rows, steps = inputs.shape[:2]
    cases = [np.full(rows, steps, np.int64), 1 + np.arange(rows, dtype=np.int64) % steps] if lengths else [None]
    scale: Any = 1.0
    if run.scaling is not None and run.scaling.target_scale is not None:
        scale = run.scaling.target_scale
    worst = varied = 0.0
    for limits in cases:
        expected = run.logits(inputs, limits).astype(np.float64)
        apart = float((np.abs(call(inputs, limits) - expected) / scale).max())
        varied = max(varied, float((np.ptp(expected, axis=tuple(range(expected.ndim - 1))) / scale).max()))
        limit = _LIMIT * max(1.0, varied)
        if not apart <= limit:
            raise ExportError(
                f"the export differs from the run by {apart:.2g} on {source}, more than {limit:.2g}; nothing was "
                "written"
            )
        worst = max(worst, apart)
    return Check(worst, varied, rows, source)
