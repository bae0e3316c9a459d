"""What inputs a model takes: of which shape, and of which numbers."""

import importlib
import re

from tradeoffs.probes.asking import wants_memory
from tradeoffs.probes.source import MeasureError
from tradeoffs.training import num_classes, one_sentence


def page_of(framework):
    """That probes models of a framework."""
    return importlib.import_module(f"tradeoffs.probes.{framework}")


def shapes_of(source, profile, framework, model):
    """The shape of each input, without the batch."""
    if profile.input_shape:
        given = profile.input_shape
        return given if isinstance(given[0], tuple) else (given,)
    example = (28, 28, 1) if framework == "keras" else (1, 28, 28)
    if source.kind == "name":
        return (example,)
    known = page_of("keras").known_shapes(model) if framework == "keras" else None
    if known and None not in (size for shape in known for size in shape):
        return known
    says = f"says that it takes {known}" if known else "does not say what it takes"
    raise MeasureError(
        f"the model {says}; give input_shape, the shape of one input without the "
        f"batch, such as {example}, or one shape an input"
    )


def answering(probe, dtype):
    """A probe whose inputs the model takes, their type, and `_num_classes` of it.

    Where nobody says what the inputs are, and real numbers fail, whole ones may be
    what the model looks up in a table; and the other way round. Where it adds to
    them or subtracts first, few of them are in the table.

    Raises:
        MeasureError: it takes none of them; the message is about the first.
    """
    if probe.framework == "pytorch":
        probe.step_macs()  # counted before the model has kept anything
    failures, usual = [], probe.whole_numbers
    for candidate, kind in _candidates(probe, dtype):
        try:
            return candidate, kind, _num_classes(candidate, dtype)
        except MeasureError as error:
            failures.append(error)
    probe.whole_numbers = usual
    raise failures[0]


def _candidates(probe, dtype):
    """Probes of other inputs, and the inputs' type."""
    kinds = [(probe, dtype)]
    if dtype is None:
        kind = "int64" if "float" in str(probe.dtypes[0]) else "float32"
        given = probe.model, probe.shapes, kind, probe.device, probe.batch_size
        other = type(probe)(*given)
        other.keeps_tensors = probe.keeps_tensors
        kinds.append((other, kind))
    yield from kinds
    for alone in (0, 1):
        for one, kind in kinds:
            if any("int" in str(dtype) for dtype in one.dtypes):
                one.whole_numbers = alone, alone + 1
                yield one, kind


def _num_classes(probe, dtype):
    """How many classes a model tells apart, or a sentence on why that is not known."""
    counts, failures = dict.fromkeys((2, probe.batch_size)), []
    for count in counts:  # a model may take none but its own
        try:
            with probe.eager():
                return num_classes(probe.call(probe.inputs(count)), count)
        except Exception as error:
            if wants_memory(error):
                raise
            failures.append(error)
    shape = probe.shapes[0] if len(probe.shapes) == 1 else probe.shapes
    said = f"cannot take an input of shape {shape}: {one_sentence(failures[0])}"
    others = [str(name) for name in probe.dtypes if "float32" not in str(name)]
    if others and dtype is None:
        said += f"; it was given {', '.join(others)}, for want of an input_dtype"
    called_otherwise = re.search("(missing|takes|unexpected).* argument", said)
    if isinstance(failures[0], KeyError) or called_otherwise:
        keras = probe.framework == "keras"
        way = "as one list" if keras else "by position, one tensor each"
        said += f"; inputs are given {way}"
    raise MeasureError(f"the model {said}") from failures[0]
