"""What a model costs: `measure` for the present, `predict_memory` for a GPU.

A model is measured in fresh child processes, one for training and one for
inference, so that frameworks never meet and each peak of memory is its own. A
named model is built in the child; one in a file is made by its function there.
A model or function of the reader's own, from a notebook say, goes through a
pickle that this process writes, and only its own child reads, in a folder
that nobody else can write to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tradeoffs.frameworks import FRAMEWORKS, framework_of
from tradeoffs.models import MODELS, framework_for
from tradeoffs.probes.accelerator import DEVICES
from tradeoffs.probes.profile import Profile
from tradeoffs.progress import bar
from tradeoffs.schedules import ARTICLE

TRAINING_PARTS = ("size", "training_time", "training_memory")
INFERENCE_PARTS = ("inference_time", "inference_memory")
PARTS = (*TRAINING_PARTS, *INFERENCE_PARTS, "prediction")
PIXELS = (28, 28)


class MeasureError(RuntimeError):
    """A model that could not be measured; the message says why."""


def measure(
    model,
    input_shape: tuple[int, ...] | None = None,
    *,
    framework: str | None = None,
    batch_size: int = ARTICLE.batch_size,
    inference_batch_size: int = 1000,
    threads: int | None = None,
    device: str = "cpu",
    parts: tuple[str, ...] = PARTS,
    max_seconds: float = 10.0,
    progress: bool = True,
    **model_arguments,
) -> Profile:
    """What a model costs on this machine.

    Args:
        model: a name of `MODELS`; "FILE.py:function", whose function returns a
            model; a `torch.nn.Module` or `keras.Model`; or a function that
            returns one.
        input_shape: of one input, without the batch, such as (1, 28, 28). Named
            models know theirs, and so do most Keras models.
        framework: of a named model, where there are two.
        batch_size: of the training steps.
        inference_batch_size: of the inference; latency is of one image always.
        threads: for the framework; by default as many as there are processors.
        device: "cpu", "cuda" or "mps".
        parts: what to measure: any of "size", "training_time",
            "training_memory", "inference_time", "inference_memory" and
            "prediction"; all by default.
        max_seconds: for each time, when it does not settle sooner.
        progress: show a bar.
        model_arguments: of a named model's function, such as `dropout=True`.

    Returns:
        A `Profile`; what was not measured is None.

    Raises:
        ValueError: a value out of range, or no such model.
        TypeError: not a model.
        MeasureError: the model cannot be measured so; the message says why.
    """
    parts = _checked_parts(parts)
    _check_at_least_one(
        batch_size=batch_size, inference_batch_size=inference_batch_size
    )
    threads = os.cpu_count() if threads is None else threads
    _check_at_least_one(threads=threads)
    if device not in DEVICES:
        raise ValueError(
            f"device is {device!r}; it must be one of {', '.join(DEVICES)}"
        )
    if not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}; it must be above 0")
    with Child(model, framework, model_arguments) as child:
        order = {
            "input_shape": _checked_shape(input_shape) or child.known_shape(),
            "batch_size": batch_size,
            "inference_batch_size": inference_batch_size,
            "threads": threads,
            "device": device,
            "parts": parts,
            "max_seconds": max_seconds,
        }
        with bar(progress, desc=f"measuring {child.label}", bar_format=_BAR) as shown:
            found = {}
            for task, asked in (
                ("training", TRAINING_PARTS),
                ("inference", INFERENCE_PARTS),
            ):
                if set(asked) & set(parts) or not found:
                    found |= child.carry_out(order | {"task": task}, shown)
                    order |= {name: found[name] for name in _KNOWN_NOW}
            if "prediction" in parts:
                predicted = _predicted(child, order, shown)
                notes = found.get("notes", []) + predicted.get("notes", [])
                found |= predicted | {"notes": notes}
    kept = {name: found[name] for name in found if name in Profile.__annotations__}
    conditions = {k: order[k] for k in ("batch_size", "inference_batch_size", "device")}
    return Profile(name=child.label, **conditions | kept)


def predict_memory(
    model,
    points: list[tuple[tuple[int, ...], int]],
    *,
    track: bool = False,
    progress: bool = True,
    **model_arguments,
):
    """The memory that training steps would take on a GPU, without one.

    Shapes are computed on tensors without contents, so any size takes a moment
    and no memory. Left out are the driver's context (some hundreds of MiB) and
    the workspaces of the libraries.

    Args:
        model: as for `measure`, in PyTorch. Named models are rebuilt for the
            shape: pictures of any size, and volumes (1, depth, height, width).
        points: pairs of an input's shape, without the batch, and a batch size.
        track: ask PyTorch's own memory tracker too (slower).
        progress: show a bar.
        model_arguments: of a named model's function.

    Returns:
        A DataFrame, a row a point: input_shape, batch_size, allocated_mib
        (tensors), reserved_mib (what PyTorch's allocator takes from the
        device), and with `track` tracked_mib.

    Raises:
        ValueError: a value out of range, or no such model.
        MeasureError: the model cannot take a shape.
    """
    import pandas as pd

    asked = []
    for shape, batch_size in points:
        _check_at_least_one(batch_size=batch_size)
        asked.append({"input_shape": _checked_shape(shape), "batch_size": batch_size})
    if not asked:
        raise ValueError("there are no points to predict")
    with Child(model, "pytorch", model_arguments) as child:
        order = {"task": "predict", "points": asked, "track": track, "threads": 1}
        with bar(progress, desc=f"predicting {child.label}", bar_format=_BAR) as shown:
            found = child.carry_out(order | asked[0], shown)
    return pd.DataFrame(
        {
            "input_shape": tuple(point["input_shape"]),
            "batch_size": point["batch_size"],
            **{f"{name}_mib": value for name, value in memory.items()},
        }
        for point, memory in zip(asked, found, strict=True)
    )


_KNOWN_NOW = ("framework", "input_shape")  # after the first child's answer
_BAR = "{desc}: {postfix} [{elapsed}]"


def _predicted(child, order, shown):
    shape = order["input_shape"]
    if order["framework"] != "pytorch":
        if not child.has_port():
            return _note("GPU memory is predicted for PyTorch models only")
        shape = (shape[-1], *shape[:-1])
    point = {"input_shape": shape, "batch_size": order["batch_size"]}
    task = {"task": "predict", "points": [point], "framework": "pytorch"}
    try:
        (memory,) = child.carry_out(order | task, shown)
    except MeasureError as error:
        return _note(f"GPU memory was not predicted: {error}")
    return {"predicted_gpu_memory_mib": memory["reserved"]}


def _note(text):
    return {"notes": [text]}


class Child:
    """Hands a model to child processes, and takes their answers.

    A plain command, not `multiprocessing`: that imports the caller's script
    again, and a script without a main guard would start over in each child.

    Attributes:
        seconds_in_model: of all tasks so far, those spent in timed calls.
    """

    def __init__(self, model, framework=None, arguments=None):
        self.seconds_in_model = 0.0
        self.folder = tempfile.TemporaryDirectory(prefix="tradeoffs-")
        try:
            self._take(model, framework, arguments or {})
        except BaseException:
            self.folder.cleanup()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.folder.cleanup()

    def _take(self, model, framework, arguments):
        if framework is not None and framework not in FRAMEWORKS:
            raise ValueError(
                f"framework is {framework!r}; it must be one of {', '.join(FRAMEWORKS)}"
            )
        self.framework = framework
        if isinstance(model, str) and ":" not in model:
            self.framework = framework_for(model, framework)
            self.label = model
            self.source = {"name": model, "arguments": arguments}
            return
        if arguments:
            raise TypeError(
                f"{', '.join(arguments)} can be given for a named model only; the "
                f"names are {', '.join(MODELS)}"
            )
        if isinstance(model, str):
            file, _, function = model.rpartition(":")
            if not Path(file).is_file():
                raise ValueError(f"no file {file!r}; give NAME or FILE.py:function")
            self.label = function
            self.source = {"file": str(Path(file).resolve()), "function": function}
            return
        import cloudpickle

        is_function = callable(model) and _framework_or_none(model) is None
        if not is_function:
            self.framework = framework_of(model)
        self.label = getattr(model, "__name__", None) or type(model).__name__
        path = Path(self.folder.name) / "model"
        try:
            path.write_bytes(cloudpickle.dumps(model))
        except Exception as error:
            raise MeasureError(
                f"{self.label} cannot be handed to a process of its own ({error}); "
                "give a function that makes it instead"
            ) from error
        self.source = {"pickle": str(path), "call": is_function}

    def known_shape(self):
        """A named model's input shape, or None."""
        if "name" not in self.source:
            return None
        return (1, *PIXELS) if self.framework == "pytorch" else (*PIXELS, 1)

    def has_port(self):
        """Whether the model is one of ours and in PyTorch too."""
        return "pytorch" in getattr(
            MODELS.get(self.source.get("name")), "frameworks", ()
        )

    def carry_out(self, order, shown):
        """Let a child do a task, and return its result.

        Raises:
            MeasureError: it refused, failed or was killed.
        """
        order = {"source": self.source, "framework": self.framework} | order
        path = Path(self.folder.name) / "order.json"
        path.write_text(json.dumps(order))
        last = {}
        with (
            (Path(self.folder.name) / "stderr").open("w+") as errors,
            subprocess.Popen(
                [sys.executable, "-m", "tradeoffs.probes.child", str(path)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | _environment(order["threads"]),
            ) as child,
        ):
            try:
                for line in child.stdout:
                    last = json.loads(line)
                    if "stage" in last:
                        shown.set_postfix_str(last["stage"])
                status = child.wait()
            except BaseException:
                child.kill()
                raise
            if "result" in last and status == 0:
                self.seconds_in_model += last["seconds_in_model"]
                return last["result"]
            errors.seek(0)
            raise MeasureError(self._why(last, status, order, errors.read()))

    def _why(self, last, status, order, errors):
        if "error" in last:
            return f"{self.label}: {last['error']}"
        stage = last.get("stage", "start-up")
        if status < 0:
            return (
                f"{self.label}: the process was killed by signal {-status} during "
                f"{stage} at batch size {order['batch_size']}; most often that is for "
                "want of memory: try a smaller batch"
            )
        return (
            f"{self.label}: the process ended with status {status} during {stage}: "
            f"{(errors.strip().splitlines() or ['it said nothing'])[-1]}"
        )


def _framework_or_none(model):
    try:
        return framework_of(model)
    except TypeError:
        if callable(model):
            return None
        raise


def _environment(threads):
    return {
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # So that the child finds what the caller could import.
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }


def _checked_parts(parts):
    parts = (parts,) if isinstance(parts, str) else tuple(parts)
    unknown = [part for part in parts if part not in PARTS]
    if unknown or not parts:
        raise ValueError(f"parts is {parts!r}; it must be some of {', '.join(PARTS)}")
    return parts


def _check_at_least_one(**values):
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}; it must be a whole number")
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")


def _checked_shape(shape):
    if shape is None:
        return None
    try:
        shape = tuple(int(size) for size in shape)
    except (TypeError, ValueError):
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(
            "input_shape must be whole numbers above 0, without the batch, such as "
            "(1, 28, 28)"
        )
    return shape
