"""What a model costs: `measure` for the present, `predict_memory` for a GPU.

A model is measured in fresh child processes, one for training and one for
inference, so that frameworks never meet and each peak of memory is its own. A
named model is built in the child; one in a file is made by its function there.
A model or function of the reader's own, from a notebook say, goes through a
pickle that this process writes, and only its own child reads, in a folder
that nobody else can write to.
"""

from __future__ import annotations

import os

from tradeoffs.probes.accelerator import DEVICES
from tradeoffs.probes.parent import Child, MeasureError
from tradeoffs.probes.profile import Profile
from tradeoffs.progress import bar
from tradeoffs.schedules import ARTICLE

TRAINING_PARTS = ("size", "training_time", "training_memory")
INFERENCE_PARTS = ("inference_time", "inference_memory")
_TASKS = {"training": TRAINING_PARTS, "inference": INFERENCE_PARTS}
PARTS = (*TRAINING_PARTS, *INFERENCE_PARTS, "prediction")


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
        asked = [t for t, names in _TASKS.items() if set(names) & set(parts)]
        tasks = asked or ["training"]  # which says the framework and the shape
        total = len(tasks) + ("prediction" in parts)
        found = {}
        with bar(progress, desc=f"measuring {child.label}", total=total) as shown:
            for task in tasks:
                found |= child.carry_out(order | {"task": task}, shown)
                order |= {name: found[name] for name in ("framework", "input_shape")}
                shown.update()
            if "prediction" in parts:
                predicted = _predicted(child, order, shown)
                notes = found.get("notes", []) + predicted.get("notes", [])
                found |= predicted | {"notes": notes}
                shown.update()
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
        with bar(progress, desc=f"predicting {child.label}", total=len(asked)) as shown:
            found = child.carry_out(order | asked[0], shown)
            shown.update(len(asked))
    return pd.DataFrame(
        {
            "input_shape": tuple(point["input_shape"]),
            "batch_size": point["batch_size"],
            **{f"{name}_mib": value for name, value in memory.items()},
        }
        for point, memory in zip(asked, found, strict=True)
    )


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
