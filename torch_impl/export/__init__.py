"""A trained model for other programs: an ONNX file, or a program of torch.export.

onnx_model      the ONNX graph; onnx_cells: each kind of cell in it
torch_program   a module that torch.export can take, around torch's scan

Both have dynamic batch and steps, take lengths, and keep the length law. The shift and scale that a run applied to its
data become part of what is exported, so that both take and give the values of the user's own data.
"""

from torch_impl.export.scaled import ExportError, Scaling

__all__ = ["ExportError", "Scaling"]
