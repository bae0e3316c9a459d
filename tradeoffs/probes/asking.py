"""Asking a process of its own, and what went wrong there in one sentence."""

import contextlib
import sys

from tradeoffs.frameworks import FRAMEWORKS
from tradeoffs.probes.source import MeasureError, Source
from tradeoffs.processes import ProcessKilled, in_fresh_process
from tradeoffs.training import one_sentence


class OutOfMemoryError(MeasureError):
    """The process of a measurement was killed."""


class Again(BaseException):
    """This process is of no use for a source; its argument: what to change in that.

    The model is of another framework than the process had imported for it; or it keeps
    tensors outside of itself, such as in the cache of a function, and some of those
    have no contents, as it was counted with.
    """


def ask(task, source: Source, *arguments, batch_size, threads=None, on_cpu=True):
    """What a function of `tasks` returns in a process of its own.

    Raises:
        MeasureError: it failed; one sentence says why.
        OutOfMemoryError: it was killed.
    """
    # A model on a device gets a process that has imported nothing yet.
    framework = source.framework if on_cpu else None
    if on_cpu and framework is None:  # a guess: what the caller has imported, if one
        held = [name for name, package in FRAMEWORKS.items() if package in sys.modules]
        framework = held[0] if len(held) == 1 else None
    given = _carry_out, task, source, arguments, batch_size
    options = {"batch_size": batch_size, "threads": threads}
    try:
        return in_fresh_process(*given, threads=threads, framework=framework)
    except Again as error:
        source = source._replace(**error.args[0])
        return ask(task, source, *arguments, **options, on_cpu=on_cpu)
    except ProcessKilled as error:
        # Importing one framework after the other can be the end of a process.
        if framework != source.framework and "SIGSEGV" in str(error) and on_cpu:
            return ask(task, source, *arguments, **options, on_cpu=False)
        advice = "" if "SIGSEGV" in str(error) else f", {_advice(batch_size)}"
        raise OutOfMemoryError(f"{source.label}: {error}{advice}") from None


def ask_for(task, source: Source, profile, parts: list, *others, **options) -> dict:
    """What a task finds of some parts; a process that is killed leaves the size.

    Arguments as of `ask`. What was lost is under "failures", with the reason.
    """
    try:
        return ask(task, source, profile, parts, *others, **options)
    except OutOfMemoryError as error:
        lost = [part for part in parts if part != "size"] or parts
        rest = [part for part in parts if part not in lost]
        found = ask(task, source, profile, rest, *others, **options) if rest else {}
        return found | {"failures": dict.fromkeys(lost, str(error))}


def _advice(batch_size):
    if batch_size == 1:
        return "even at batch size 1: the model is too large for this machine"
    if batch_size is None:
        return "at the default batch size; try a smaller inference_batch_size"
    return f"at batch size {batch_size}; try a smaller one"


def _carry_out(task, source, arguments, batch_size):
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return task(source, *arguments)
    except (Exception, SystemExit) as error:
        # Without the model's own exception, whose class may not exist out there.
        raise MeasureError(f"{source.label}: {reason_of(error, batch_size)}") from None


def reason_of(error, batch_size: int | None) -> str:
    """What went wrong in a measurement, in one sentence."""
    text = one_sentence(error)
    if isinstance(error, MeasureError):
        return text
    if wants_memory(error):
        return f"there is not enough memory {_advice(batch_size)}"
    return f"{type(error).__name__}: {text}"


def wants_memory(error) -> bool:
    """Whether an exception is for want of memory."""
    signs = "MemoryError", "ResourceExhaustedError", "can't allocate memory"
    return any(sign in f"{type(error).__name__}: {error}" for sign in signs)
