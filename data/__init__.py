"""The data room of Unrolled: bundled data sets, recorded TensorFlow 1.15.5 results, and their NumPy readers.

All but `doors` (click, tqdm, matplotlib) and parts of `own` (Pillow, pyarrow) needs NumPy alone, and everything keeps
to Python 3.7 syntax, because it also runs beside genuine TensorFlow 1.15.5.
"""

DISTRIBUTION = "unrolled"  # the doors look for this name, since `data` is a common one
