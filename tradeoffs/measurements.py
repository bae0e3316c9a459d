"""Makes the measurements that the verdicts stand on; `evidence` reads them.

Times are fair only on a machine that does nothing else meanwhile.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterable

from tradeoffs import article, records
from tradeoffs.evidence import (
    FORMAT,
    LARGE_PICTURE,
    PICTURE,
    VOLUME,
    Evidence,
    measurements_path,
    profile_path,
)
from tradeoffs.models import MODELS
from tradeoffs.schedules import ARTICLE

# Whose training memory on a GPU is predicted, at which shape and batch.
MEMORY_POINTS = tuple(
    (model, shape, batch)
    for model in ("keras_mlp", "keras_cnn", "pytorch_cnn")
    for shape, batch in (
        (PICTURE, 1),
        (PICTURE, article.SMALL_BATCH),
        (PICTURE, article.LARGE_BATCH),
        (LARGE_PICTURE, 1),
        (VOLUME, 1),
    )
    if shape != VOLUME or model != "keras_mlp"
)
# Small Nets whose dead units are counted: arguments of the recorded series.
RECTIFIERS = ({}, {"slope": 0.0})


def _write(subject, rows):
    content = {"format": FORMAT, "rows": rows}
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    return records.write(measurements_path(subject), text)


def record_profiles(
    models: Iterable[str] = MODELS,
    *,
    turns: int = 3,
    progress: bool = True,
    **options,
):
    """Measure models in turns, and write of each the profile with the median epoch.

    Other work on the machine, or on its host, then meets all of them alike.

    Args:
        models: names of `MODELS`.
        turns: how often each is measured.
        progress: show bars.
        options: of `tradeoffs.measure`, such as threads.

    Yields:
        Each `Profile` that was written.
    """
    from tradeoffs.probes import measure

    measured = {model: [] for model in models}
    for _, (model, profiles) in itertools.product(range(turns), measured.items()):
        profiles.append(measure(model, progress=progress, **options))
    for model, profiles in measured.items():
        path = profile_path(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = sorted(profiles, key=lambda one: one.epoch_seconds or 0)[turns // 2]
        profile.save(path)
        yield profile


def record_gpu_memory(*, progress: bool = True) -> None:
    """Predict the memory of `MEMORY_POINTS`, and write it."""
    from tradeoffs.probes import predict_memory

    rows = []
    for model in dict.fromkeys(model for model, *_ in MEMORY_POINTS):
        points = [(shape, size) for name, shape, size in MEMORY_POINTS if name == model]
        table = predict_memory(model, points, progress=progress)
        rows += [
            {
                "model": model,
                "input_shape": list(row.input_shape),
                "batch_size": row.batch_size,
                "allocated_mib": round(row.allocated_mib, 3),
                "reserved_mib": round(row.reserved_mib, 3),
            }
            for row in table.itertuples()
        ]
    _write("gpu_memory", rows)


def record_dead_units() -> None:
    """Count the dead units of the recorded Small Nets, and write the counts.

    In a process of its own, as it takes PyTorch, and the caller may hold Keras.
    """
    child = [sys.executable, "-m", "tradeoffs.measurements"]
    if subprocess.run(child).returncode:
        raise RuntimeError("the dead units could not be counted: see above")


def count_dead_units() -> list[dict]:
    """The dead units of the Small Nets of `RECTIFIERS`, on all test images."""
    from tradeoffs.data import mnist
    from tradeoffs.probes import dead_units
    from tradeoffs.records import trained
    from tradeoffs.training.pytorch import images_to_tensor

    images = images_to_tensor(mnist().test_images, ARTICLE.input_scaling)
    rows = []
    for arguments in RECTIFIERS:
        runs = Evidence().runs("small_net", **arguments)
        dead = [dead_units(trained(run), images) for run in runs]
        rows.append(
            {
                "model_arguments": arguments,
                "dead": [int(units.sum()) for units in dead],
                "units": len(dead[0]),
            }
        )
    return rows


def _main() -> int:
    try:
        _write("dead_units", count_dead_units())
    except (RuntimeError, ValueError, OSError) as error:
        print(f"tradeoffs: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
