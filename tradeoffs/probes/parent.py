"""The side that asks: hands a model to child processes, and takes their answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tradeoffs.frameworks import FRAMEWORKS, framework_of
from tradeoffs.models import MODELS, framework_for

PIXELS = (28, 28)


class MeasureError(RuntimeError):
    """A model that could not be measured; the message says why."""


class Child:
    """Hands a model to child processes, and takes their answers.

    A plain command, not `multiprocessing`: that imports the caller's script
    again, and a script without a main guard would start over in each child.

    Attributes:
        seconds_in_model: of all tasks so far, those spent in timed calls.
    """

    def __init__(self, model, framework=None, arguments=None):
        self.seconds_in_model = 0.0
        self.folder = tempfile.TemporaryDirectory(prefix="tradeoffs-")
        try:
            self._take(model, framework, arguments or {})
        except BaseException:
            self.folder.cleanup()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.folder.cleanup()

    def _take(self, model, framework, arguments):
        if framework is not None and framework not in FRAMEWORKS:
            raise ValueError(
                f"framework is {framework!r}; it must be one of {', '.join(FRAMEWORKS)}"
            )
        self.framework = framework
        if isinstance(model, str) and ":" not in model:
            self.framework = framework_for(model, framework)
            self.label = model
            self.source = {"name": model, "arguments": arguments}
            return
        if arguments:
            raise TypeError(
                f"{', '.join(arguments)} can be given for a named model only; the "
                f"names are {', '.join(MODELS)}"
            )
        if isinstance(model, str):
            file, _, function = model.rpartition(":")
            if not Path(file).is_file():
                raise ValueError(f"no file {file!r}; give NAME or FILE.py:function")
            self.label = function
            self.source = {"file": str(Path(file).resolve()), "function": function}
            return
        import cloudpickle

        is_function = callable(model) and _framework_or_none(model) is None
        if not is_function:
            self.framework = framework_of(model)
        self.label = getattr(model, "__name__", None) or type(model).__name__
        path = Path(self.folder.name) / "model"
        try:
            path.write_bytes(cloudpickle.dumps(model))
        except Exception as error:
            raise MeasureError(
                f"{self.label} cannot be handed to a process of its own ({error}); "
                "give a function that makes it instead"
            ) from error
        self.source = {"pickle": str(path), "call": is_function}

    def known_shape(self):
        """A named model's input shape, or None."""
        if "name" not in self.source:
            return None
        return (1, *PIXELS) if self.framework == "pytorch" else (*PIXELS, 1)

    def has_port(self):
        """Whether the model is one of ours and in PyTorch too."""
        return "pytorch" in getattr(
            MODELS.get(self.source.get("name")), "frameworks", ()
        )

    def carry_out(self, order, shown):
        """Let a child do a task, and return its result.

        Raises:
            MeasureError: it refused, failed or was killed.
        """
        order = {"source": self.source, "framework": self.framework} | order
        path = Path(self.folder.name) / "order.json"
        path.write_text(json.dumps(order))
        last = {}
        with (
            (Path(self.folder.name) / "stderr").open("w+") as errors,
            subprocess.Popen(
                [sys.executable, "-m", "tradeoffs.probes.child", str(path)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | _environment(order["threads"]),
            ) as child,
        ):
            try:
                for line in child.stdout:
                    last = json.loads(line)
                    if "stage" in last:
                        shown.set_postfix_str(last["stage"])
                status = child.wait()
            except BaseException:
                child.kill()
                raise
            if "result" in last and status == 0:
                self.seconds_in_model += last["seconds_in_model"]
                return last["result"]
            errors.seek(0)
            raise MeasureError(self._why(last, status, order, errors.read()))

    def _why(self, last, status, order, errors):
        if "error" in last:
            return f"{self.label}: {last['error']}"
        stage = last.get("stage", "start-up")
        if status < 0:
            return (
                f"{self.label}: the process was killed by signal {-status} during "
                f"{stage} at batch size {order['batch_size']}; most often that is for "
                "want of memory: try a smaller batch"
            )
        return (
            f"{self.label}: the process ended with status {status} during {stage}: "
            f"{(errors.strip().splitlines() or ['it said nothing'])[-1]}"
        )


def _framework_or_none(model):
    try:
        return framework_of(model)
    except TypeError:
        if callable(model):
            return None
        raise


def _environment(threads):
    return {
        "OMP_NUM_THREADS": str(threads),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # So that the child finds what the caller could import.
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
