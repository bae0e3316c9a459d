"""The models of the series as files for a device, and what they cost there.

`python -m tradeoffs device FOLDER` writes them with a script that measures them
wherever there is Python, NumPy and a runtime. `results/device/` holds what was
measured here, in turns with the frameworks.
"""

import dataclasses
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np

from tradeoffs import measure_here, records
from tradeoffs.data import mnist
from tradeoffs.experiments import Run
from tradeoffs.exporting import answers, export
from tradeoffs.measurements import device_folder
from tradeoffs.models import MODELS
from tradeoffs.probes import measure_in_turns
from tradeoffs.probes.files import SUFFIXES
from tradeoffs.probes.profile import PRECISIONS
from tradeoffs.processes import in_fresh_process
from tradeoffs.progress import bar
from tradeoffs.recorded import CHOSEN_SMALL_NET
from tradeoffs.series import THREADS, run
from tradeoffs.weights import KEPT, trained

TEST_IMAGES = 1000  # in a folder for a device


def exported_runs() -> list[Run]:
    """A run of each model in PyTorch with kept weights, and of the chosen Small Net."""
    larger = [run(one.model, one.framework, seed=one.seed) for one in KEPT]
    return [*larger, run("small_net"), run("small_net", **CHOSEN_SMALL_NET)]


def export_all(folder: Path, progress: bool = True) -> dict[Path, Run]:
    """Export `exported_runs` for ONNX Runtime, and those of Keras for LiteRT too.

    Returns:
        The files, each with its run.
    """
    files = {}
    for one in bar(progress, iterable=exported_runs(), desc="exporting"):
        for framework in MODELS[one.experiment.model].frameworks:
            options = {"framework": framework}
            made = in_fresh_process(_export, one, folder, framework, **options)
            files |= dict.fromkeys(made, one)
    return files


def _export(run, folder, framework):
    network, made = trained(run, framework=framework), []
    for precision in PRECISIONS:
        if (framework, precision) != ("pytorch", "float16"):
            path = folder / f"{run.experiment.variant}-{precision}{SUFFIXES[framework]}"
            made.append(export(network, path, precision=precision, calibration=mnist()))
    return made


def write_folder(folder: str | Path, progress: bool = True) -> Path:
    """Write what a device needs to measure the models: files, images and a script.

    Args:
        folder: made where it is missing.
        progress: show a bar.

    Raises:
        OSError: it cannot be written.
        ExportError, RecordError: a model cannot be exported, or its record read.
    """
    folder = Path(folder)
    records.check_writable(folder / "images.npz")
    export_all(folder, progress)
    head, content = mnist().head(1, TEST_IMAGES), io.BytesIO()
    images = _standardized_test_images(head)
    np.savez_compressed(content, images=images, labels=head.test_labels)
    records.write(folder / "images.npz", content.getvalue())
    shutil.copy(measure_here.__file__, folder)
    return folder


def record_device_profiles() -> None:
    """Measure every exported model in turns with its framework, and write profiles.

    Raises:
        MeasureError: a model cannot be measured, or the machine was busy with
            something else; nothing was recorded.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = export_all(Path(folder))
        asked = [
            {
                "model": run.experiment.model,
                "framework": framework,
                "parts": ("inference_time", "startup"),
                **run.experiment.model_arguments,
            }
            for run in dict.fromkeys(files.values())
            for framework in MODELS[run.experiment.model].frameworks
        ]
        options = {"turns": 5, "threads": THREADS, "quiet": True}
        found = measure_in_turns([*asked, *files], **options)
        for number, (path, run) in enumerate(files.items(), len(asked)):
            found[number] = dataclasses.replace(
                found[number],
                name=run.experiment.model,
                model_arguments=run.experiment.model_arguments,
                num_parameters=run.num_parameters,
                test_accuracy=in_fresh_process(_accuracy, path),
            )
    for profile in found:
        precision = f"-{profile.precision}" if profile.precision else ""
        file = f"{profile.variant}-{profile.framework}{precision}.json"
        profile.save(device_folder() / file)


def _accuracy(path):
    """Of a model file, on all test images."""
    dataset = mnist()
    shape = (-1, 1, 28, 28) if path.suffix == ".onnx" else (-1, 28, 28, 1)
    images = _standardized_test_images(dataset).reshape(shape)
    found = answers(path, images).argmax(1)
    return float(np.mean(found == dataset.test_labels))


def _standardized_test_images(dataset):
    """As the networks take them, in NumPy alone: float32 [n, h, w]."""
    mean, deviation = dataset.pixels
    return ((dataset.test_images / 255 - mean) / deviation).astype(np.float32)
