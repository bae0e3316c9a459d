"""`Profile`: what a model costs, as a table, a row and a file."""

import dataclasses
import html
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

from tradeoffs.checks import number
from tradeoffs.experiments import variant
from tradeoffs.frameworks import FRAMEWORKS
from tradeoffs.records import write

FORMAT = 1
PRECISIONS = ("float32", "float16", "int8")  # of exported models
NOT_MEASURED = "not measured"
MIB = 2**20
# How a quantity is written, by the unit in its name.
_FORMS = {
    "_bytes": "{:,} bytes",
    "_ms": "{:,.3f} ms",
    "_seconds": "{:,.3f} s",
    "_mib": "{:,.1f} MiB",
    "_accuracy": "{:.2%}",
}


def _row(title, of="networks"):
    """A row of the printed table, of networks, exported "files" or "both"."""
    return field(default=None, metadata={"title": title, "of": of})


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """What a model costs on a machine. What was not measured is None.

    Attributes:
        name: of the model; of a file its own, without "-int8" and the like.
        framework: "keras" or "pytorch"; of an exported model its runtime,
            "onnxruntime" or "ai-edge-litert".
        input_shape: of one input, without the batch; of several, one shape each.
        batch_size: of the training steps; None of an exported model.
        inference_batch_size: of the inference, latency apart.
        threads: that the framework computed on.
        device: "cpu", "cuda" or "mps".
        processor: its name.
        versions: of Python, the package and the framework.
        model_arguments: of a named model's function, those that were given.
        precision: of an exported model: "float32", "float16" or "int8".
        weight_bytes: of all parameters and buffers in memory.
        file_bytes: of the file on disk, safetensors or `.keras`.
        macs: multiply-accumulates of one input's forward pass, in convolutions,
            dense layers and matrix products; None where an operator is not known.
        train_step_ms: a training step in steady state, the median.
        epoch_seconds: of the steps of 60,000 images.
        first_step_seconds: of the first step, with tracing and compilation.
        import_seconds: of the framework and of what measures, once for several
            models.
        inference_seconds, images_per_second: for 10,000 images.
        latency_ms_p50, latency_ms_p90, latency_ms_p99: of one image alone.
        peak_train_memory_mib, peak_inference_memory_mib: of resident memory, above
            the level after imports, in a process of its own.
        gradient_bytes, optimizer_bytes, activation_bytes: of tensors, exactly;
            activations are what the backward pass keeps, the input included.
        accelerator_allocated_mib, accelerator_reserved_mib: by the framework, at
            peak of training; accelerator_process_mib: by the driver (CUDA).
        predicted_gpu_memory_mib: that PyTorch's allocator would reserve on a GPU
            for training, without the driver's own (see `predict_memory`).
        load_seconds: of loading a model file, ready for a batch.
        startup_seconds, startup_memory_mib: of a process until its first answer.
        runtime_bytes: of the installed package of the runtime.
        test_accuracy: of an exported model, 0 to 1.
        spread: for each time the lowest and highest of its windows, by field.
        turns: for each time its value in each turn, where it was measured in turns.
        notes: why a value is missing, and what a reader should know of another.

    >>> import tradeoffs
    >>> profile = tradeoffs.recorded_profiles()[0]
    >>> profile.name, profile.num_parameters, profile.macs
    ('keras_mlp', 669706, 668672)
    """

    name: str
    framework: str
    input_shape: tuple
    inference_batch_size: int | None
    threads: int
    batch_size: int | None = None
    device: str = "cpu"
    processor: str | None = None
    versions: dict | None = None
    model_arguments: dict = field(default_factory=dict)
    precision: str | None = None
    num_parameters: int | None = _row("parameters", "both")
    num_trainable_parameters: int | None = _row("of them trainable")
    weight_bytes: int | None = _row("weights in memory")
    file_bytes: int | None = _row("file on disk", "both")
    macs: int | None = _row("multiply-accumulates an image")
    train_step_ms: float | None = _row("training step")
    epoch_seconds: float | None = _row("epoch of 60,000 images")
    first_step_seconds: float | None = _row("start-up: the first step")
    import_seconds: float | None = _row("start-up: imports")
    inference_seconds: float | None = _row("10,000 images", "both")
    images_per_second: float | None = _row("images a second", "both")
    latency_ms_p50: float | None = _row("latency of one image, median", "both")
    latency_ms_p90: float | None = _row("latency, 90th percentile", "both")
    latency_ms_p99: float | None = _row("latency, 99th percentile", "both")
    peak_train_memory_mib: float | None = _row("peak memory, training")
    peak_inference_memory_mib: float | None = _row("peak memory, inference")
    gradient_bytes: int | None = _row("gradients")
    optimizer_bytes: int | None = _row("optimizer's state")
    activation_bytes: int | None = _row("kept for the backward pass")
    accelerator_allocated_mib: float | None = _row("accelerator, allocated at peak")
    accelerator_reserved_mib: float | None = _row("accelerator, reserved at peak")
    accelerator_process_mib: float | None = _row("accelerator, by the driver")
    predicted_gpu_memory_mib: float | None = _row("GPU memory, training, predicted")
    load_seconds: float | None = _row("start-up: loading the file", "files")
    startup_seconds: float | None = _row("start-up: until the first answer", "files")
    startup_memory_mib: float | None = _row("start-up: peak memory", "files")
    runtime_bytes: int | None = _row("the runtime, installed", "files")
    test_accuracy: float | None = _row("test accuracy", "files")
    spread: dict = field(default_factory=dict)
    turns: dict = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        name, _, last = self.name.rpartition("-")
        if self.framework not in FRAMEWORKS and name and last in PRECISIONS:
            object.__setattr__(self, "name", name)
            object.__setattr__(self, "precision", last)
        # As JSON has them, so that a profile equals its saved self.
        arguments = json.loads(json.dumps(self.model_arguments))
        object.__setattr__(self, "model_arguments", arguments)
        shape = (tuple(s) if isinstance(s, list) else s for s in self.input_shape)
        object.__setattr__(self, "input_shape", tuple(shape))
        object.__setattr__(self, "notes", tuple(self.notes))
        for name in ("spread", "turns"):
            times = {time: tuple(of) for time, of in getattr(self, name).items()}
            object.__setattr__(self, name, times)

    @property
    def variant(self) -> str:
        """The model with its arguments, as `Experiment.variant` writes it."""
        return variant(self.name, self.model_arguments)

    def rows(self) -> list[tuple[str, str]]:
        """Title and text of each quantity, as the printed table has them."""
        return [
            (row.metadata["title"], self._text(row.name))
            for row in dataclasses.fields(self)
            if row.metadata and self._concerns(row)
        ]

    def _concerns(self, row):
        if self.framework in FRAMEWORKS:
            return row.name not in OF_FILES or getattr(self, row.name) is not None
        return row.name in (*OF_FILES, *OF_BOTH)

    def _text(self, name):
        text = _written(name, getattr(self, name))
        ends = [_written(name, end) for end in self.spread.get(name, ())]
        return (
            f"{text} ({' to '.join(end.split()[0] for end in ends)})" if ends else text
        )

    def _heading(self):
        training = f", training at batch {self.batch_size}" if self.batch_size else ""
        count = self.inference_batch_size
        in_use = f", inference at {count}" if count else ""
        precision = f"{self.precision}, " if self.precision else ""
        return (
            f"{self.variant}: {self.framework}, {precision}input {self.input_shape}, "
            f"{self.device}, {self.threads} thread{'s' * (self.threads != 1)}"
            f"{training}{in_use}; {self.processor or 'unknown processor'}"
        )

    def __repr__(self):
        rows = [f"  {title:<31}  {text:>34}" for title, text in self.rows()]
        notes = [f"  note: {note}" for note in self.notes]
        return "\n".join([self._heading(), *rows, *notes])

    def _repr_html_(self):
        import pandas as pd

        table = pd.DataFrame(self.rows()).to_html(header=False, index=False)
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<p>{html.escape(self._heading())}</p>{table}<ul>{notes}</ul>"

    def to_dict(self) -> dict:
        """All fields as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def to_series(self):
        """A pandas Series named after the model: a row of a DataFrame.

        `pandas.DataFrame([p.to_series() for p in profiles])` is the table.
        """
        import pandas as pd

        values = dataclasses.asdict(self)
        del values["turns"]
        return pd.Series(values, name=values.pop("name"), dtype=object)

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, whole or not at all."""
        values = self.to_dict()
        for name in ("model_arguments", "spread", "turns", "precision", *OF_FILES):
            if not values[name]:  # older profiles are without
                del values[name]
        content = {"format": FORMAT, "profile": values}
        write(Path(path), json.dumps(content, indent=1, sort_keys=True) + "\n")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> "Profile":
        """The profile that `save` wrote.

        Raises:
            ValueError: the file holds no whole profile.
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            found = cls(**content["profile"])
            for name in NUMBERS:
                if (value := getattr(found, name)) is not None:
                    number(name, value, least=0)
            return found
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a whole profile ({error!r})") from error


NUMBERS = [row.name for row in dataclasses.fields(Profile) if row.metadata]
OF_FILES, OF_BOTH = (
    [row.name for row in dataclasses.fields(Profile) if row.metadata.get("of") == kind]
    for kind in ("files", "both")
)


def median_profile(profiles: list[Profile]) -> Profile:
    """One profile of several of a model: medians, and what their times span.

    A time spans the windows of all turns, or the turns where it has no windows.
    """
    values = {
        name: [getattr(profile, name) for profile in profiles] for name in NUMBERS
    }
    times = [name for name in NUMBERS if name.endswith("_seconds") or "_ms" in name]
    ends = {
        name: [end for p in profiles for end in p.spread.get(name, [getattr(p, name)])]
        for name in times
    }
    return dataclasses.replace(
        profiles[0],
        **{
            name: None if None in of_turns else _median(of_turns)
            for name, of_turns in values.items()
        },
        spread={
            name: (min(found), max(found))
            for name, found in ends.items()
            if None not in found and len(found) > 1
        },
        turns={
            name: values[name]
            for name in times
            if len(profiles) > 1 and None not in values[name]
        },
        notes=tuple(dict.fromkeys(note for p in profiles for note in p.notes)),
    )


def _median(values):
    counts = isinstance(values[0], int)  # that of two stays a whole number
    return (statistics.median_low if counts else statistics.median)(values)


def _written(name, value):
    if value is None:
        return NOT_MEASURED
    forms = [form for unit, form in _FORMS.items() if unit in name]
    return forms[0].format(value) if forms else f"{value:,.0f}"
