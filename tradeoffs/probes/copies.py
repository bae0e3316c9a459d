"""How a reader's model gets into a process of its own: as a copy of it."""

import contextlib
import functools
import inspect
import io
import pickle
from types import SimpleNamespace
from unittest import mock

import cloudpickle

from tradeoffs.frameworks import silent_stderr


class MeasureError(RuntimeError):
    """A model that could not be measured; the message says why.

    >>> import tradeoffs
    >>> small = {"input_shape": (1, 8, 8), "parts": "inference_time"}
    >>> tradeoffs.measure("pytorch_cnn", **small)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.probes.copies.MeasureError: pytorch_cnn: the model cannot take ...
    """


def unpickled(content, load=pickle.load):
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


def of_pytorch(model):
    """A function that makes a module again; what its tensors share is shared then."""
    import torch
    from torch.nn.utils import parametrize

    if any(getattr(part, "_compiled_call_impl", None) for part in model.modules()):
        raise TypeError("what is compiled in place is not so in a copy")
    file, options = io.BytesIO(), {"pickle_protocol": pickle.HIGHEST_PROTOCOL}

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, one):
            # Of what is parametrized PyTorch makes a class, and saves none.
            if isinstance(one, torch.nn.Module) and parametrize.is_parametrized(one):
                return object.__new__, (type(one).__base__,), vars(one)
            return super().reducer_override(one)

    page = SimpleNamespace(**vars(cloudpickle) | {"Pickler": Pickler})
    torch.save(model, file, pickle_module=page, **options)
    return functools.partial(unpickled, file.getvalue(), _loaded)


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


def of_keras(model):
    """A function that makes a model again, with what was frozen in it frozen.

    It is not compiled then. Layers and functions of the reader's own come along.
    """
    layers = list(model._flatten_layers())
    held = [value for layer in layers for value in (layer, *vars(layer).values())]
    with contextlib.ExitStack() as patched:
        # Of a lambda Keras keeps the code alone, without the globals that it uses.
        for one in filter(inspect.isfunction, held):
            if one.__name__ == "<lambda>":
                patched.callback(setattr, one, "__name__", one.__name__)
                one.__name__ = f"lambda_{id(one)}"
        return _copied(model, layers, held)


def _copied(model, layers, held):
    import keras

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
    with contextlib.ExitStack() as patched:
        patched.callback(setattr, model, "compiled", getattr(model, "compiled", False))
        model.compiled = False
        for kind in filter(_is_plain_model, parts):
            empty = mock.patch.object(kind, "get_config", lambda model: {})
            patched.enter_context(empty)
        content = cloudpickle.dumps(model)
    return functools.partial(_made_again, content, trainable, own)


def _is_own(part):
    """Whether Keras must be given it; it wraps `build` itself."""
    theirs = str(part.__module__).partition(".")[0] == "keras"
    kept = hasattr(part, "__wrapped__")
    wanted = inspect.isfunction(part) or hasattr(part, "get_config")
    return wanted and not (theirs or kept)


def _is_plain_model(part):
    """Whether it is a class of models that does not say what they were given."""
    import keras

    if not (inspect.isclass(part) and issubclass(part, keras.Model)):
        return False
    own = not part.__init__.__module__.startswith("keras.")
    return own and part.get_config.__module__.startswith("keras.")


def _made_again(content, trainable, own):
    import keras

    for name, part in own.items():
        part.__name__ = name if part.__name__ == "<lambda>" else part.__name__
    plain = list(filter(_is_plain_model, own.values()))
    for kind in plain:
        kind.from_config = classmethod(lambda kind, config, custom_objects=None: kind())
    with keras.saving.custom_object_scope(own):
        model = unpickled(content)
    parts = _parts(model)
    if plain and len(parts) != len(trainable):
        said = "is not as its class makes it; give a function that makes it"
        raise MeasureError(f"{model.name} {said}")
    if len(parts) == len(trainable):
        for part, flag in zip(parts, trainable, strict=True):
            if part.trainable != flag:
                part.trainable = flag
    return model
