"""`Profile`: what a model costs, as a table, a row and a file."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

FORMAT = 1
NOT_MEASURED = "not measured"
MIB = 2**20

# What a table shows: field, title, and how a value is written.
_ROWS = (
    ("num_parameters", "parameters", "{:,}"),
    ("num_trainable_parameters", "of them trainable", "{:,}"),
    ("weight_bytes", "weights in memory", "{:,} bytes"),
    ("file_bytes", "weights on disk", "{:,} bytes"),
    ("macs", "multiply-accumulates an image", "{:,}"),
    ("train_step_ms", "training step", "{:.2f} ms"),
    ("epoch_seconds", "epoch of 60,000 images", "{:.2f} s"),
    ("first_step_seconds", "start-up: the first step", "{:.2f} s"),
    ("import_seconds", "start-up: imports", "{:.2f} s"),
    ("inference_seconds", "10,000 images", "{:.3f} s"),
    ("images_per_second", "throughput", "{:,.0f} images/s"),
    ("latency_ms_p50", "latency of one image, median", "{:.3f} ms"),
    ("latency_ms_p90", "latency, 90th percentile", "{:.3f} ms"),
    ("latency_ms_p99", "latency, 99th percentile", "{:.3f} ms"),
    ("peak_train_memory_mib", "peak memory, training", "{:,.1f} MiB"),
    ("peak_inference_memory_mib", "peak memory, inference", "{:,.1f} MiB"),
    ("gradient_bytes", "gradients", "{:,} bytes"),
    ("optimizer_bytes", "optimizer's state", "{:,} bytes"),
    ("activation_bytes", "kept for the backward pass", "{:,} bytes"),
    ("accelerator_allocated_mib", "accelerator, allocated at peak", "{:,.1f} MiB"),
    ("accelerator_reserved_mib", "accelerator, reserved at peak", "{:,.1f} MiB"),
    ("accelerator_process_mib", "accelerator, by the driver", "{:,.1f} MiB"),
    ("predicted_gpu_memory_mib", "GPU memory, training, predicted", "{:,.1f} MiB"),
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Profile:
    """What a model costs on a machine. What was not measured is None.

    Attributes:
        name: of the model.
        framework: "keras" or "pytorch".
        input_shape: of one input, without the batch.
        batch_size: of the training steps.
        inference_batch_size: of the inference, latency apart.
        threads: that the framework computed on.
        device: "cpu", "cuda" or "mps".
        processor: its name.
        versions: of Python and the framework.
        num_parameters, num_trainable_parameters: scalars in the weights.
        weight_bytes: of all parameters and buffers in memory.
        file_bytes: of the file on disk, safetensors or `.keras`.
        macs: multiply-accumulates of one input's forward pass, in
            convolutions, dense layers and matrix products; None where a layer
            is not known.
        train_step_ms: milliseconds a training step, steady state, median.
        epoch_seconds: seconds of the steps of 60,000 images.
        first_step_seconds: of the first step, with tracing and compilation.
        import_seconds: of the framework's import.
        inference_seconds: for 10,000 images.
        images_per_second: throughput of that.
        latency_ms_p50, latency_ms_p90, latency_ms_p99: of one image alone.
        peak_train_memory_mib, peak_inference_memory_mib: MiB of resident memory
            at peak, above the level after imports, in a process of its own.
        gradient_bytes, optimizer_bytes, activation_bytes: of tensors, exactly;
            activations are what the backward pass keeps, the input included.
        accelerator_allocated_mib, accelerator_reserved_mib: MiB by the
            framework, at peak of training.
        accelerator_process_mib: MiB by the driver (CUDA).
        predicted_gpu_memory_mib: MiB that PyTorch's allocator would reserve on
            a GPU for training, without the driver's own (see
            `tradeoffs.predict_memory`).
        notes: why a value is missing.
    """

    name: str
    framework: str
    input_shape: tuple[int, ...]
    batch_size: int
    inference_batch_size: int
    threads: int
    device: str = "cpu"
    processor: str | None = None
    versions: dict | None = None
    num_parameters: int | None = None
    num_trainable_parameters: int | None = None
    weight_bytes: int | None = None
    file_bytes: int | None = None
    macs: int | None = None
    train_step_ms: float | None = None
    epoch_seconds: float | None = None
    first_step_seconds: float | None = None
    import_seconds: float | None = None
    inference_seconds: float | None = None
    images_per_second: float | None = None
    latency_ms_p50: float | None = None
    latency_ms_p90: float | None = None
    latency_ms_p99: float | None = None
    peak_train_memory_mib: float | None = None
    peak_inference_memory_mib: float | None = None
    gradient_bytes: int | None = None
    optimizer_bytes: int | None = None
    activation_bytes: int | None = None
    accelerator_allocated_mib: float | None = None
    accelerator_reserved_mib: float | None = None
    accelerator_process_mib: float | None = None
    predicted_gpu_memory_mib: float | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "input_shape", tuple(self.input_shape))
        object.__setattr__(self, "notes", tuple(self.notes))

    def rows(self) -> list[tuple[str, str]]:
        """Title and text of each quantity, as the printed table has them."""
        written = []
        for field, title, form in _ROWS:
            value = getattr(self, field)
            text = NOT_MEASURED if value is None else form.format(value)
            written.append((title, text))
        return written

    def _conditions(self):
        return (
            f"{self.framework}, input {self.input_shape}, {self.device}, "
            f"{self.threads} thread{'s' * (self.threads != 1)}, training at batch "
            f"{self.batch_size}, inference at {self.inference_batch_size}"
        )

    def __repr__(self):
        width = max(len(title) for title, _ in self.rows())
        lines = [f"{self.name}: {self._conditions()}"]
        if self.processor:
            lines.append(self.processor)
        lines += [f"  {title:<{width}}  {text:>20}" for title, text in self.rows()]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _repr_html_(self):
        import html

        cells = "".join(
            f"<tr><td style='text-align:left'>{html.escape(title)}</td>"
            f"<td>{html.escape(text)}</td></tr>"
            for title, text in self.rows()
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f"<p><b>{html.escape(self.name)}</b>: {html.escape(self._conditions())}"
            f"<br>{html.escape(self.processor or '')}</p>"
            f"<table>{cells}</table><ul>{notes}</ul>"
        )

    def to_dict(self) -> dict:
        """All fields as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def to_series(self):
        """A pandas Series named after the model: a row of a DataFrame.

        `pandas.DataFrame([p.to_series() for p in profiles])` is the table.
        """
        import pandas as pd

        values = dataclasses.asdict(self)
        return pd.Series(values, name=values.pop("name"), dtype=object)

    def save(self, path: str | Path) -> Path:
        """Write the profile as JSON, whole or not at all."""
        path = Path(path)
        content = {"format": FORMAT, "profile": self.to_dict()}
        file = tempfile.NamedTemporaryFile(  # noqa: SIM115  closed before the rename
            "w", dir=path.parent, prefix=f".{path.name}-", delete=False
        )
        try:
            with file:
                json.dump(content, file, indent=1, sort_keys=True)
                file.write("\n")
            Path(file.name).chmod(0o644)
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
        return path

    @classmethod
    def load(cls, path: str | Path) -> Profile:
        """The profile that `save` wrote.

        Raises:
            ValueError: the file holds no whole profile.
        """
        try:
            content = json.loads(Path(path).read_text())
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            return cls(**content["profile"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a whole profile ({error!r})") from error
