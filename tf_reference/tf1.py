"""The one place that imports TensorFlow: `from tf_reference.tf1 import tf` is TensorFlow 1, in 1.15 and in 2.x.

TensorFlow 2.x keeps the graph code as `tensorflow.compat.v1`, and BasicRNNCell and tf.layers in the package tf-keras,
which it looks for only where TF_USE_LEGACY_KERAS=1 is set. Raises ImportError, in one sentence, where one is missing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from typing import Any, Iterator

__all__ = ["quiet_warnings", "resolve_device", "session_config", "tf"]

INSTALL = "pip install 'unrolled[tf]', or tensorflow==1.15.5 under Python 3.7"
# A process's first session sizes the thread pools of all its sessions (tensorflow/core/common_runtime/local_device.cc).
_THREADS: int | None = None


@contextlib.contextmanager
def quiet_warnings() -> Iterator[None]:
    """Around graph construction: TensorFlow's notices that the chapter's calls are deprecated, known and meant here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`tf\.(nn\.rnn_cell\.\w+|layers\.dense)` is deprecated", UserWarning)
        # 1.15.5's own files import from `collections` what Python moved to `collections.abc`.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="tensorflow")
        yield


@contextlib.contextmanager
def _without_start_up_lines() -> Iterator[None]:
    """Drop the lines that TensorFlow 2.x writes to descriptor 2 before its log level counts, and no others."""
    chatter = (b"WARNING: All log messages before absl::InitializeLog()", b"I0000 ")
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            rest = b"".join(line for line in written if not line.startswith(chatter))
            if rest:
                os.write(2, rest)


def _import_tensorflow() -> Any:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    # 2.x: the same order of additions as 1.15.5, and half the time of a graph's first run (measured with 2.21).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what goes wrong is raised; the rest is about missing GPUs
    try:
        with warnings.catch_warnings(), _without_start_up_lines():
            warnings.simplefilter("ignore")  # all of them are about the insides of TensorFlow and what it imports
            import tensorflow.compat.v1 as tensorflow
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "tensorflow":
            raise
        raise ImportError("tf_reference needs TensorFlow, which is not installed: %s" % INSTALL) from None
    tensorflow.logging.set_verbosity(tensorflow.logging.ERROR)
    tensorflow.disable_v2_behavior()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as above: this is where tf-keras is imported
            tensorflow.nn.rnn_cell.BasicRNNCell, tensorflow.layers.dense  # noqa: B018
    except (ImportError, AttributeError):
        raise ImportError(
            "TensorFlow %s is installed without tf-keras, which holds its BasicRNNCell and tf.layers: pip install "
            "tf-keras" % tensorflow.__version__
        ) from None
    if hasattr(tensorflow.config.experimental, "enable_tensor_float_32_execution"):
        tensorflow.config.experimental.enable_tensor_float_32_execution(False)  # a reference keeps all its bits
    return tensorflow


tf = _import_tensorflow()


def resolve_device(device: str) -> str:
    """The device, "auto" being "cuda" where there is a GPU. Raises ValueError for another name, or a GPU not there."""
    if device not in ("cpu", "cuda", "auto"):
        raise ValueError('device is %r; tf_reference knows "cpu", "cuda" and "auto"' % (device,))
    if device == "cpu":
        return device
    if tf.config.experimental.list_physical_devices("GPU"):
        return "cuda"
    if device == "auto":
        return "cpu"
    raise ValueError('device is "cuda", but TensorFlow %s finds no GPU that it can use; use "cpu"' % tf.__version__)


def session_config(device: str = "cpu", threads: int | None = None) -> Any:
    """A tf.ConfigProto that keeps the thread pools to `threads`, by default the CPUs that this process may use.

    Raises ValueError for a number that is not positive, or that differs from the one this process already runs with.
    """
    global _THREADS
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError("threads is %r; expected a positive integer, or None for every CPU" % (threads,))
    if threads is not None and _THREADS not in (None, threads):
        raise ValueError(
            "threads is %d, but TensorFlow sets its threads once, and this process runs with %d; use that number, or a "
            "process of its own" % (threads, _THREADS)
        )
    if _THREADS is None:
        _THREADS = threads or _available_cpus()
    config = tf.ConfigProto(
        intra_op_parallelism_threads=_THREADS,
        inter_op_parallelism_threads=_THREADS,
        allow_soft_placement=True,  # in_top_k has no GPU kernel
        device_count={} if device == "cuda" else {"GPU": 0},
    )
    config.gpu_options.allow_growth = True
    return config


def _available_cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
