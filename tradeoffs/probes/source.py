"""Where a model comes from, and how it gets into a process of its own."""

import contextlib
import copy
import functools
import inspect
import io
import pickle
import runpy
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import cloudpickle

from tradeoffs.checks import one_of
from tradeoffs.frameworks import FRAMEWORKS, framework_of, silent_stderr
from tradeoffs.models import MODELS, build, framework_for
from tradeoffs.training import one_sentence

DTYPES = (
    *("float16", "bfloat16", "float32", "float64"),
    *("int32", "int64", "uint8", "bool"),
)


class MeasureError(RuntimeError):
    """A model that could not be measured; the message says why.

    >>> import tradeoffs
    >>> small = {"input_shape": (1, 8, 8), "parts": "inference_time"}
    >>> tradeoffs.measure("pytorch_cnn", **small)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.probes.source.MeasureError: pytorch_cnn: the model cannot take ...
    """


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
        make = _unpickled(self.pickle)
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
        make = {"pytorch": _of_pytorch, "keras": _of_keras}.get(own, lambda m: m)(model)
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


def _unpickled(content, load=pickle.load):
    try:
        with silent_stderr():  # what it needs is imported
            return load(io.BytesIO(content))  # our own parent wrote it a moment ago
    except Exception as error:
        raise MeasureError(
            "the model cannot be made again in a process of its own; give a function "
            f"that makes it instead, or FILE.py:function ({error})"
        ) from error


def _parts(model):
    """What can be frozen in a Keras model: its layers and weights."""
    return [*model._flatten_layers(), *model.variables]


def _of_pytorch(model):
    """A function that makes a module again; what its tensors share is shared then."""
    import torch
    from torch.nn.utils import parametrize

    if any(getattr(part, "_compiled_call_impl", None) for part in model.modules()):
        raise TypeError("what is compiled in place is not so in a copy")
    file, options = io.BytesIO(), {"pickle_protocol": pickle.HIGHEST_PROTOCOL}
    with contextlib.ExitStack() as restored:
        # Of what is parametrized PyTorch makes a class, which it does not let be saved.
        for part in filter(parametrize.is_parametrized, model.modules()):
            restored.callback(setattr, part, "__class__", type(part))
            part.__class__ = type(part).__base__
        torch.save(model, file, pickle_module=cloudpickle, **options)
    return functools.partial(_unpickled, file.getvalue(), _loaded)


def _loaded(file):
    import torch
    from torch.nn.utils import parametrize

    model = torch.load(file, weights_only=False)
    for part in model.modules():
        if isinstance(getattr(part, "parametrizations", None), torch.nn.ModuleDict):
            parametrize._inject_new_class(part)
            for name in part.parametrizations:
                parametrize._inject_property(part, name)
        for name, buffer in part._buffers.items():
            if buffer is not None and not buffer.numel():  # as loaded it cannot grow
                part._buffers[name] = torch.empty_like(buffer)
    return model


def _of_keras(model):
    """A function that makes a model again, with what was frozen in it frozen.

    It is not compiled then. Layers and functions of the reader's own come along.
    """
    import keras

    layers = list(model._flatten_layers())
    held = [value for layer in layers for value in (layer, *vars(layer).values())]
    parts = {one if inspect.isfunction(one) else type(one) for one in held}
    parts = set(filter(_is_own, parts))
    own = {keras.saving.get_registered_name(part): part for part in parts}
    if len(own) < len(parts):
        raise TypeError("several functions or classes have one name")
    for kind in filter(_is_plain_model, parts):
        if len(inspect.signature(kind.__init__).parameters) > 1:  # besides itself
            raise TypeError(f"Keras does not keep what {kind.__name__} was given")
    for layer in layers:
        inner = getattr(layer, "layers", ())
        if type(layer).__name__ == "Sequential" and len({*map(id, inner)}) < len(inner):
            raise TypeError(f"{layer.name} has a layer twice, and its copy only once")
    trainable = [part.trainable for part in _parts(model)]
    compiled = getattr(model, "compiled", False)
    model.compiled = False
    try:
        with contextlib.ExitStack() as patched:
            for kind in filter(_is_plain_model, parts):
                empty = mock.patch.object(kind, "get_config", lambda model: {})
                patched.enter_context(empty)
            content = cloudpickle.dumps(model)
        return functools.partial(_made_again, content, trainable, own)
    finally:
        model.compiled = compiled


def _is_own(part):
    """Whether Keras must be given it; it wraps `build`, and keeps lambdas itself."""
    theirs = str(part.__module__).partition(".")[0] in ("keras", "builtins")
    return not (theirs or hasattr(part, "__wrapped__") or part.__name__ == "<lambda>")


def _is_plain_model(part):
    """Whether it is a class of models that does not say what they were given."""
    import keras

    model = inspect.isclass(part) and issubclass(part, keras.Model)
    return model and part.get_config.__module__.startswith("keras.")


def _made_again(content, trainable, own):
    import keras

    plain = list(filter(_is_plain_model, own.values()))
    for kind in plain:
        kind.from_config = classmethod(lambda kind, config, custom_objects=None: kind())
    with keras.saving.custom_object_scope(own):
        model = _unpickled(content)
    parts = _parts(model)
    if plain and len(parts) != len(trainable):
        said = "is not as its class makes it; give a function that makes it"
        raise MeasureError(f"{model.name} {said}")
    if len(parts) == len(trainable):
        for part, flag in zip(parts, trainable, strict=True):
            if part.trainable != flag:
                part.trainable = flag
    return model


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
