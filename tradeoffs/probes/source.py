"""Where a model comes from: a name, a file, or the reader's own hands."""

import contextlib
import copy
import functools
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import cloudpickle

from tradeoffs.checks import one_of
from tradeoffs.frameworks import FRAMEWORKS, framework_of
from tradeoffs.models import MODELS, build, framework_for
from tradeoffs.probes.copies import MeasureError, of_keras, of_pytorch, unpickled
from tradeoffs.training import one_sentence

DTYPES = (
    *("float16", "bfloat16", "float32", "float64"),
    *("int32", "int64", "uint8", "bool"),
)


PYTORCH_ALONE = "predictions are for PyTorch models only"


class Source(NamedTuple):
    """What another process needs to make a model.

    Attributes:
        label: the model's name, for people.
        framework: None where only the model itself can tell.
        kind: "name", "file" or "object".
        pickle: of a function that makes the model; of one that finds that function
            in a file, which imports whatever the model needs.
        keeps_tensors: outside of the model, as was found when it was counted.
    """

    label: str
    framework: str | None
    kind: str
    pickle: bytes
    keeps_tensors: bool = False

    def maker(self):
        """The function that makes the model.

        Raises:
            MeasureError: there is none in the file, or it cannot be unpickled.
        """
        make = unpickled(self.pickle)
        return make() if self.kind == "file" else make


def source_of(model, framework: str | None, arguments: dict) -> Source:
    """The source of a model that a reader gave, as `tradeoffs.measure` takes it.

    Raises:
        ValueError: no such model, file or framework.
        TypeError: not a model, or arguments for one without a name.
        MeasureError: the model cannot be pickled.
    """
    if isinstance(model, str) and ":" not in model:
        if Path(model).suffix:
            raise ValueError(
                f"model is {model!r}; give FILE.py:function, an .onnx or .tflite file, "
                f"or one of the names {', '.join(MODELS)}"
            )
        framework = framework_for(model, framework)
        make = functools.partial(build, model, framework, seed=0, **arguments)
        return Source(model, framework, "name", cloudpickle.dumps(make))
    if framework is not None:
        one_of("framework", framework, FRAMEWORKS)
    if arguments:
        raise TypeError(
            f"{', '.join(arguments)} can be given for a named model only; the names "
            f"are {', '.join(MODELS)}"
        )
    if isinstance(model, str):
        file, _, name = model.rpartition(":")
        if not Path(file).is_file() or Path(file).suffix != ".py" or not name:
            raise ValueError(f"no file {file!r}; give NAME or FILE.py:function")
        find = functools.partial(_function_in, Path(file).resolve(), name)
        return Source(name, framework, "file", cloudpickle.dumps(find))
    try:
        own = framework_of(model)
    except TypeError:
        others = hasattr(model, "count_params"), hasattr(model, "graph_signature")
        if (any(others) and not isinstance(model, type)) or not callable(model):
            raise
        own = None
    if own:
        framework = one_of("framework", framework or own, [own])
    label = getattr(model, "__name__", None) or type(model).__name__
    try:
        make = {"pytorch": of_pytorch, "keras": of_keras}.get(own, lambda m: m)(model)
        make = functools.partial(_with_defaults, make, *_changed_defaults(own))
        return Source(label, framework, "object", cloudpickle.dumps(make))
    except Exception as error:
        instead = "a function that makes it" if own else "FILE.py:function"
        raise MeasureError(
            f"{label} cannot be handed to a process of its own "
            f"({one_sentence(error)}); give {instead} instead"
        ) from error


def check_dtype(given) -> None:
    """Raise a ValueError unless this is what `measure` takes as `input_dtype`."""
    several = given if isinstance(given, (tuple, list)) else [given]
    for one in several:
        one_of("input_dtype", one, (None, *DTYPES))


def dtype_of_each(given, count: int) -> list:
    """An `input_dtype` as one name, or None, for each of so many inputs.

    Raises:
        ValueError: it is of another number of inputs.
    """
    if not isinstance(given, (tuple, list)):
        return [given] * count
    if len(given) != count:
        raise ValueError(
            f"input_dtype is {given!r}; it must be one type, or one for each of "
            f"{count} inputs"
        )
    return list(given)


_KERAS_DEFAULTS = (
    *(("floatx", "float32"), ("dtype_policy", "float32")),
    ("image_data_format", "channels_last"),
)


def _changed_defaults(framework):
    """The caller's own defaults for all models, as calls with their arguments."""
    changed = []
    torch, keras = (sys.modules.get(name) for name in ("torch", "keras"))
    if torch and framework != "keras" and torch.get_default_dtype() != torch.float32:
        changed.append((torch.set_default_dtype, torch.get_default_dtype()))
    for name, usual in _KERAS_DEFAULTS if keras and framework != "pytorch" else ():
        now = getattr(keras.config, name)()
        now = getattr(now, "name", now)
        if now != usual:
            changed.append((getattr(keras.config, f"set_{name}"), now))
    return changed


def _with_defaults(make, *changed):
    for change, value in changed:
        change(value)
    return make()


def _function_in(file, name):
    sys.path.insert(0, str(file.parent))
    function = runpy.run_path(str(file), run_name=file.stem).get(name)
    if not callable(function):
        raise MeasureError(f"{file.name} has no function {name!r}")
    with contextlib.suppress(TypeError):
        if framework_of(function) == "keras":
            return lambda: function  # whose copies may be others, and it is made once
        return functools.partial(copy.deepcopy, function)  # it is a model
    return function
