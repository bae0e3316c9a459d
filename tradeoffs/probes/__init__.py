"""What a model costs: `measure` for the present, `predict_memory` for a GPU.

A model is measured in fresh processes, one for training and one for inference, so
that frameworks never meet and each peak of memory is its own. A named model is
built there; one in a file is made by its function there; a model or a function of
the reader's own, from a notebook say, is pickled.
"""

import dataclasses
from collections.abc import Iterable, Mapping

from tradeoffs.checks import input_shapes, number, one_of, whole_number
from tradeoffs.experiments import processor
from tradeoffs.probes import tasks
from tradeoffs.probes.asking import ask, ask_for
from tradeoffs.probes.files import is_model_file, measure_file
from tradeoffs.probes.memory import DEVICES
from tradeoffs.probes.profile import Profile, median_profile
from tradeoffs.probes.source import (
    PYTORCH_ALONE,
    MeasureError,
    check_dtype,
    source_of,
)
from tradeoffs.probes.timing import BUSY
from tradeoffs.processes import import_ahead
from tradeoffs.progress import bar
from tradeoffs.schedules import ARTICLE
from tradeoffs.training import MAX_THREADS

# Each in a process of its own.
_TRAINING = ("size", "training_time", "training_memory")
_INFERENCE = ("inference_time", "inference_memory")
PARTS = (*_TRAINING, *_INFERENCE, "prediction")
_ALLOWED = (*PARTS, "startup")
ATTEMPTS = 3  # at a quiet measurement
# Arguments of `measure` that a model file takes too, or whose names are in it.
_OF_FILES = "model", "threads", "progress", "model_arguments"


def measure(
    model,
    input_shape: tuple | None = None,
    *,
    input_dtype: str | tuple | None = None,
    framework: str | None = None,
    batch_size: int = ARTICLE.batch_size,
    inference_batch_size: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
    parts: tuple[str, ...] = PARTS,
    max_seconds: float = 10.0,
    progress: bool = True,
    **model_arguments,
) -> Profile:
    """What a model costs on this machine.

    PyTorch trains a network in the layout that `fit` gives it, and uses it in the
    faster of the two; a note says which.

    Args:
        model: a name of `MODELS`; "FILE.py:function", whose function returns a
            model; a `torch.nn.Module` or `keras.Model`; a function that returns
            one; or an `.onnx` or `.tflite` file, which is measured in its runtime,
            on one thread by default.
        input_shape: of one input, without the batch, such as (1, 28, 28); of
            several inputs, a tuple of shapes. Named models know theirs, and so do
            most Keras models.
        input_dtype: of the inputs, such as "int64", or of each one; by default the
            model's own, or whole numbers for one whose first layer is an embedding;
            and the other of the two where those fail.
        framework: of a named model, where there are two.
        batch_size: of the training steps.
        inference_batch_size: of the inference, by default 1,000, or of a large model
            as many as take a second or so; latency is of one image always.
        threads: to compute on; by default as many as pay, see
            `tradeoffs.frameworks.default_threads`.
        device: "cpu", "cuda" or "mps".
        parts: what to measure: any of "size", "training_time",
            "training_memory", "inference_time", "inference_memory" and
            "prediction", all by default; and "startup", from the imports to the
            first answer, seconds in which nothing else can be measured. Of a file,
            everything is measured always.
        max_seconds: for each time, when it does not settle sooner.
        progress: show a bar.
        model_arguments: of a named model's function, such as `dropout=True`.

    Returns:
        A `Profile`; what was not measured is None, and its notes say why.

    Raises:
        ValueError: a value out of range, or no such model.
        TypeError: not a model.
        MeasureError: the model cannot be measured so; the message says why.

    >>> import tradeoffs
    >>> profile = tradeoffs.measure("gap_cnn", parts="size")
    >>> profile.num_parameters, profile.macs
    (7090, 471200)
    """
    given = locals() | model_arguments
    several = isinstance(parts, Iterable) and not isinstance(parts, str)
    parts = tuple(parts) if several else (parts,)
    if not parts or not all(part in _ALLOWED for part in parts):
        raise ValueError(
            f"parts is {parts!r}; it must be some of {', '.join(_ALLOWED)}"
        )
    if threads is not None:
        threads = whole_number("threads", threads, most=MAX_THREADS)
    if is_model_file(model):
        for name, value in given.items():
            if name not in _OF_FILES and value != measure.__kwdefaults__.get(name):
                raise ValueError(
                    f"{name} is {value!r}; a model file is measured as it is, on the "
                    "CPU, and takes no option but threads"
                )
        return measure_file(model, threads or 1)
    in_use = inference_batch_size
    if in_use is not None:
        in_use = whole_number("inference_batch_size", in_use)
    max_seconds = number("max_seconds", max_seconds, least=0)
    source = source_of(model, framework, model_arguments)
    profile = Profile(
        name=str(source.label),
        framework=source.framework,
        input_shape=() if input_shape is None else input_shapes(input_shape) or ((),),
        batch_size=whole_number("batch_size", batch_size),
        inference_batch_size=in_use,
        threads=threads,
        device=one_of("device", device, DEVICES),
        processor=processor(),
        model_arguments=model_arguments,
    )
    check_dtype(input_dtype)
    asked = [part for part in parts if part not in ("prediction", "startup")]
    if "prediction" in parts and (source.kind, source.framework) == ("name", "keras"):
        import_ahead("pytorch")  # which predicts, while the other imports TensorFlow
    notes, failures = [], []
    with bar(progress, desc=f"measuring {source.label}", total=len(asked)) as shown:
        groups = (_TRAINING, batch_size), (_INFERENCE, in_use)
        for group, size in groups:
            of_group = [part for part in parts if part in group]
            # Without any, training says the framework and the shape.
            if not of_group and (asked or group is not _TRAINING):
                continue
            task = tasks.measured, source, profile, of_group, input_dtype, max_seconds
            options = {"threads": threads, "on_cpu": device == "cpu"}
            found = ask_for(*task, batch_size=size, **options)
            input_dtype = found.pop("input_dtype", input_dtype)
            failed = found.pop("failures")
            notes += found.pop("notes", [])
            notes += [f"{part} not measured: {text}" for part, text in failed.items()]
            failures += failed.values()
            profile = dataclasses.replace(profile, **found)
            source = source._replace(framework=profile.framework)
            shown.update(len(of_group))
    if asked and len(failures) == len(asked):
        raise MeasureError(failures[0])
    if "startup" in parts:
        task = tasks.started, source, profile, input_dtype
        try:
            # Nothing may be imported before.
            found = ask(*task, batch_size=1, threads=threads, on_cpu=False)
            profile = dataclasses.replace(profile, **found)
        except MeasureError as error:
            notes.append(f"startup not measured: {error}")
    if "prediction" in parts:
        try:
            mib = _predicted_mib(model, profile, input_dtype)
            profile = dataclasses.replace(profile, predicted_gpu_memory_mib=mib)
        except MeasureError as error:
            notes.append(f"GPU memory was not predicted: {error}")
    return dataclasses.replace(profile, notes=tuple(dict.fromkeys(notes)))


def measure_in_turns(
    models, *, turns: int = 3, quiet: bool = False, progress: bool = True, **options
) -> list[Profile]:
    """Profiles of several models, each measured several times, in turns.

    Whatever else the machine does meanwhile then meets all of them alike.

    Args:
        models: for each what `measure` takes as its model, or a mapping of several
            of its arguments, such as {"model": "keras_mlp", "framework": "pytorch"}.
        turns: how often each is measured.
        quiet: raise an error where other processes keep the machine busy, in three
            attempts.
        progress: show a bar.
        options: of `measure`, for all.

    Returns:
        A `Profile` a model. Each number is the median over the turns; the spread of a
        time goes from the lowest to the highest window of any turn.

    Raises:
        MeasureError, ValueError, TypeError: as `measure`.

    >>> import tradeoffs
    >>> networks = "small_net", "gap_cnn"
    >>> profiles = tradeoffs.measure_in_turns(networks, turns=1, parts="size")
    >>> [profile.num_parameters for profile in profiles]
    [518, 7090]
    """
    if isinstance(models, str):
        raise TypeError(f"models is {models!r}; give a list, such as ['gap_cnn']")
    given = [one if isinstance(one, Mapping) else {"model": one} for one in models]
    found = [[] for _ in given]
    in_turns = list(zip(given, found, strict=True)) * whole_number("turns", turns)
    with bar(progress, desc="measuring in turns", total=len(in_turns)) as shown:
        for one, profiles in in_turns:
            for _ in range(ATTEMPTS if quiet else 1):
                profile = measure(progress=False, **options | one)
                busy = [note for note in profile.notes if note.startswith(BUSY)]
                if not busy:
                    break
            if quiet and busy:
                raise MeasureError(f"{profile.variant}: {busy[0]}")
            profiles.append(profile)
            shown.update()
    return [median_profile(profiles) for profiles in found]


def predict_memory(
    model,
    points: list[tuple[tuple, int]],
    *,
    input_dtype: str | tuple | None = None,
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
        input_dtype: as for `measure`.
        progress: show a bar.
        model_arguments: of a named model's function.

    Returns:
        A DataFrame, a row a point: input_shape, batch_size, allocated_mib
        (tensors) and reserved_mib (what PyTorch's allocator takes from the
        device).

    Raises:
        ValueError: a value out of range, or no such model.
        MeasureError: the model cannot take a shape, which is named; there is no table.

    >>> import tradeoffs
    >>> points = [((1, 28, 28), 16), ((1, 512, 512), 1)]
    >>> tradeoffs.predict_memory("pytorch_cnn", points).reserved_mib.tolist()
    [2.0, 222.0]
    """
    import pandas as pd

    points, found = _predicted(model, points, input_dtype, progress, model_arguments)
    return pd.DataFrame(
        {"input_shape": shape, "batch_size": batch_size, **memory}
        for (shape, batch_size), memory in zip(points, found, strict=True)
    )


def _predicted(model, points, input_dtype, progress, model_arguments):
    """The points, checked, and what is predicted for each, by name."""
    try:
        points = [(shape, batch_size) for shape, batch_size in points]
        largest = max(batch_size for _, batch_size in points)
    except (TypeError, ValueError):
        text = "must be pairs of a shape and a batch size, such as [((1, 28, 28), 16)]"
        raise ValueError(f"points is {points!r}; it {text}") from None
    points = [(input_shapes(s), whole_number("batch_size", n)) for s, n in points]
    check_dtype(input_dtype)
    named = isinstance(model, str) and ":" not in model
    source = source_of(model, "pytorch" if named else None, model_arguments)
    if source.framework == "keras":
        raise MeasureError(f"{source.label}: {PYTORCH_ALONE}")
    # Of a function nobody knows what it makes; the prediction is made with PyTorch.
    source = source._replace(framework="pytorch")
    with bar(progress, desc=f"predicting {source.label}", total=len(points)) as shown:
        task = tasks.predicted, source, points, input_dtype
        found = ask(*task, batch_size=largest, threads=1)
        shown.update(len(points))
    return points, found


def _predicted_mib(model, profile, input_dtype):
    shape = profile.input_shape
    if profile.framework == "keras":
        if model != profile.name:
            raise MeasureError(PYTORCH_ALONE)
        shape = (shape[-1], *shape[:-1])
    asked = [(shape, profile.batch_size)], input_dtype, False, profile.model_arguments
    _, (found,) = _predicted(model, *asked)
    return found["reserved_mib"]
