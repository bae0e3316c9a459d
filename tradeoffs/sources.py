"""What a reader's function does, as a text to know it by."""

import contextlib
import functools
import hashlib
import inspect
import itertools
from collections.abc import Mapping

import numpy as np


def name_of(function) -> str:
    """The name of a reader's function, with a digest of what it does.

    Raises:
        ValueError: its source is in no file and no cell.
    """
    name = getattr(function, "__name__", type(function).__name__)
    text = "\n".join(_sources(function, {}))
    return f"{name}-{digest_of(text.encode())}"


def digest_of(content: bytes, digits: int = 8) -> str:
    """The first digits of a content's SHA-256, which has 64."""
    return hashlib.sha256(content).hexdigest()[:digits]


def _sources(function, seen):
    """The source of a function, of those of its page that it calls, and its values."""
    seen[id(function)] = len(seen), function
    try:
        nonlocals = inspect.getclosurevars(function).nonlocals
        if function.__code__.co_filename == "<string>":  # Python 3.13 gives ""
            raise OSError("it is of a text that is in no file")
        yield inspect.getsource(function.__code__)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(
            f"{function!r} has no source text to know it by ({error}); give a function "
            "that is written in a file or a cell"
        ) from error
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    known = function.__globals__
    values = {name: known[name] for name in names if name in known} | nonlocals
    values |= {f"default {n}": v for n, v in enumerate(function.__defaults__ or ())}
    values |= {f"default {n}": v for n, v in (function.__kwdefaults__ or {}).items()}
    for name, value in sorted(values.items()):
        yield f"{name} ="
        yield from _described(value, function.__module__, seen)


def _codes(code):
    """The code of a function, and of those that are written within it."""
    yield code
    for one in filter(inspect.iscode, code.co_consts):
        yield from _codes(one)


def _described(value, page, seen):
    """What a value is, in texts; functions and classes of a page by their source."""
    if inspect.ismodule(value):
        yield value.__name__
        return
    if isinstance(value, (functools._lru_cache_wrapper, staticmethod, classmethod)):
        value = value.__wrapped__
    if id(value) in seen:
        yield f"as {seen[id(value)][0]} above"
        return
    own, parts = getattr(value, "__module__", None) == page, ()
    kind = type(value)  # printed, some have an address, and others hide what they have
    hides = kind.__module__ == page or kind.__repr__ is object.__repr__
    hides = hides and hasattr(value, "__dict__")
    if inspect.ismethod(value):
        parts = value.__func__, value.__self__
    elif inspect.isfunction(value) and own:
        # What a dataclass is given as methods has no source, and comes of its fields.
        given = value.__code__.co_filename == "<string>" and "." in value.__qualname__
        yield from [] if given else _sources(value, seen)
        return
    elif inspect.isclass(value) or (
        callable(value) and hasattr(value, "__name__") and not own
    ):
        module = getattr(value, "__module__", None)
        yield f"{module}.{getattr(value, '__qualname__', value.__name__)}"
        if own:
            items = sorted(vars(value).items())
            parts = itertools.chain([kind, *value.__bases__], *items)
        elif inspect.isbuiltin(value):
            parts = [value.__self__]
    elif isinstance(value, property):
        parts = value.fget, value.fset, value.fdel
    elif isinstance(value, functools.partial):
        parts = value.func, value.args, value.keywords
    elif isinstance(value, Mapping):
        parts = itertools.chain.from_iterable(value.items())
    elif isinstance(value, (list, tuple)):
        parts = value
    elif isinstance(value, (set, frozenset)):
        parts = sorted(value, key=repr)
    elif hasattr(kind, "__array__"):
        yield repr(value)
        with contextlib.suppress(TypeError, RuntimeError):  # a large one is shortened
            plain = value.detach().cpu().float() if hasattr(value, "detach") else value
            yield digest_of(np.asarray(plain).tobytes())
    elif not hides:
        yield repr(value)
    if hides:
        parts = itertools.chain(parts, [kind], *vars(value).items())
    if parts:
        seen[id(value)] = len(seen), value
    for part in parts:
        yield from _described(part, page, seen)
