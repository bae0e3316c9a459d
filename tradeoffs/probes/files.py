"""Exported models, measured in their runtime."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tradeoffs import measure_here
from tradeoffs.experiments import processor
from tradeoffs.probes.profile import Profile
from tradeoffs.probes.source import MeasureError
from tradeoffs.probes.timing import OtherWork, wait_for_quiet

SUFFIXES = {"pytorch": ".onnx", "keras": ".tflite"}
BATCHES = 1000, 1  # inputs at once, or what is measured where so many fail


def is_model_file(model) -> bool:
    """Whether this names a file that a runtime takes."""
    suffixes = tuple(SUFFIXES.values())
    return isinstance(model, (str, Path)) and str(model).lower().endswith(suffixes)


def measure_file(path: str | Path, threads: int = 1) -> Profile:
    """What an exported model costs in its runtime, in a process of its own.

    Start-up counts from the first line of `measure_here`, which imports NumPy and the
    runtime, to the first answer.

    Args:
        path: of an `.onnx` or `.tflite` file of one input, whose number alone may vary.
        threads: of the runtime.

    Raises:
        ValueError: there is no such file.
        MeasureError: the runtime is not installed, or cannot compute the model.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {str(path)!r}")
    wait_for_quiet(5.0)
    others, notes = OtherWork(), []
    for count in BATCHES:
        done = subprocess.run(
            [sys.executable, measure_here.__file__, path, str(threads), str(count)],
            capture_output=True,
            text=True,
        )
        if not done.returncode:
            break
        reason = (done.stderr.strip().splitlines() or ["its process was killed"])[-1]
        if "No module named" in reason:
            reason += "; pip install 'tradeoffs[device]'"
        notes = [f"{count:,} inputs at once cannot be measured: {reason[:200]}"]
    else:
        raise MeasureError(f"{path.name} cannot be measured: {reason}")
    found = json.loads(done.stdout)["profile"]
    files = [file.locate() for file in metadata.files(found["framework"]) or ()]
    found["processor"] = processor()
    found["runtime_bytes"] = sum(f.stat().st_size for f in files if f.exists())
    counts = "parameters and multiply-accumulates are not counted in a file"
    found["notes"] += [*notes, *others.note(), counts]
    return Profile(**found)
