"""Which framework a model belongs to, and how each one is imported.

Nothing here imports a framework until it is asked for, and one process holds
only one of them: PyTorch and TensorFlow loaded together are reported to hang
or crash in notebooks and on macOS.
"""

import contextlib
import ctypes
import functools
import math
import os
import sys
import threading
from collections import Counter

FRAMEWORKS = {"pytorch": "torch", "keras": "tensorflow"}  # and their packages
SMALL_STEP_MACS = 12_000_000
# All threads share PyTorch's generator: who changes its state holds this meanwhile.
RANDOM_NUMBERS = threading.RLock()
if hasattr(os, "register_at_fork"):  # no thread that holds it is in a fork
    os.register_at_fork(after_in_child=RANDOM_NUMBERS._at_fork_reinit)


def import_keras():
    """Keras on TensorFlow, without the messages TensorFlow starts up with.

    Raises:
        RuntimeError: Keras runs on another backend in this process.

    >>> import sys
    >>> import tradeoffs
    >>> def network():
    ...     keras = tradeoffs.import_keras()
    ...     return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    >>> "tensorflow" in sys.modules  # until it is called
    False
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        with silent_stderr():
            import tensorflow  # noqa: F401
    import keras

    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            f"Keras runs on the backend {backend!r} here; this package needs "
            "'tensorflow'. Set the environment variable "
            "KERAS_BACKEND=tensorflow before Python starts"
        )
    return keras


@contextlib.contextmanager
def silent_stderr():
    """Without what libraries write to the process's standard error."""
    # TensorFlow's libraries write to the descriptor itself, before any
    # setting of a log level takes effect.
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  a device
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def framework_of(model) -> str:
    """ "pytorch" for an `nn.Module`, "keras" for a `keras.Model`.

    Raises:
        TypeError: the model is neither.
        RuntimeError: it is of Keras on another backend than TensorFlow.
    """
    torch, keras = sys.modules.get("torch"), sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        import_keras()  # on another backend it may be a module of PyTorch's, too
        return "keras"
    if torch is not None and isinstance(model, torch.nn.Module):
        return "pytorch"
    hint = " (call it first: it is a class)" if isinstance(model, type) else ""
    if hasattr(model, "graph_signature"):  # an `ExportedProgram`
        hint = " (give a function that makes its module())"
    if keras is not None and isinstance(model, keras.Layer):
        hint = " (put the layer into a keras.Sequential)"
    raise TypeError(
        f"a model must be a torch.nn.Module or a keras.Model, not "
        f"{type(model).__name__}{hint}"
    )


def in_mode(model, *, training: bool):
    """A PyTorch network, brought to train or not; whatever its own methods return."""
    with contextlib.suppress(NotImplementedError):  # an exported one keeps its mode
        model.train() if training else model.eval()
    return model


@contextlib.contextmanager
def evaluating(model):
    """A PyTorch network in evaluation mode; each layer gets its own mode back."""
    modes = [(layer, layer.training) for layer in model.modules()]
    in_mode(model, training=False)
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


def default_threads(macs: int) -> int:
    """The threads to compute on where nobody asks for a number.

    PyTorch takes one thread for steps of few multiply-accumulates: a second one
    gains a seventh to a third there, and on a busy machine makes them two to five
    times as slow, for its threads wait for each other. Larger steps, and all of
    TensorFlow's, take every processor; see docs/benchmarks.md for the times.

    Args:
        macs: multiply-accumulates of the forward pass of one step.
    """
    import loky

    return 1 if macs < SMALL_STEP_MACS else loky.cpu_count()


def set_threads(framework: str, threads: int) -> None:
    """Let a framework compute on so many threads.

    Raises:
        RuntimeError: TensorFlow, which takes this only before its first
            computation, has others already.
    """
    if framework == "pytorch":
        import torch

        torch.set_num_threads(threads)
        return
    import_keras()
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise RuntimeError(
            f"TensorFlow has computed already, on {num_threads('keras')} threads, and "
            f"cannot go on with {threads}; set them first, in a new process"
        ) from error


def num_threads(framework: str) -> int:
    """The threads that a framework computes on in this process."""
    if framework == "pytorch":
        import torch

        return torch.get_num_threads()

    import loky
    import tensorflow as tf

    # TensorFlow answers 0 for "as many as there are".
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return threads or loky.cpu_count()


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep the memory that each step frees.

    By default glibc hands large blocks back to the system at once, and the
    next step waits for each of their pages again: a fifth of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_..., in malloc.h
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    if set_option:
        set_option(mmap_threshold, 32 * 2**20)  # the most that it takes
        set_option(trim_threshold, 2**30)


def einsum_macs(equation: str, shapes) -> int:
    """Multiply-accumulates of an einsum: the product of its sizes, each once.

    Without a sum over what two operands share there are none: as of a plain `*`. What
    one operand has for itself can be summed before.

    >>> einsum_macs("bti,ij->btj", [(2, 6, 1), (1, 5)])
    60
    >>> einsum_macs("bij,j->bij", [(2, 6, 8), (8,)])
    0
    """
    given, arrow, output = equation.replace(" ", "").partition("->")
    operands, sizes, within = given.split(","), {}, Counter()
    for names, shape in zip(operands, shapes, strict=True):
        first, _, last = names.partition("...")
        # The dimensions of an ellipsis are called -2, -1, and are aligned at the end.
        names = (*first, *range(len(first + last) - len(shape), 0), *last)
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
        within.update(set(names))
    if not arrow:
        output = "..." + "".join(n for n in sizes if given.count(str(n)) == 1)
    summed = [n for n in sizes if ("..." if isinstance(n, int) else n) not in output]
    if not any(within[name] > 1 for name in summed):
        return 0
    return math.prod(
        size for name, size in sizes.items() if name not in summed or within[name] > 1
    )
