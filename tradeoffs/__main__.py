"""The command line, for long unattended work."""

import argparse
import os
import re
import sys
from pathlib import Path

from tradeoffs import (
    commands,
    device,
    ensembles,
    fetching,
    measurements,
    probes,
    recording,
    records,
    verdicts,
)
from tradeoffs.frameworks import FRAMEWORKS
from tradeoffs.held_back import ABLATED
from tradeoffs.models import KNOWN_MODELS, MODELS
from tradeoffs.models.rows import ROWS
from tradeoffs.probes.source import DTYPES
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import FILE
from tradeoffs.spaces import OBJECTIVES, SAMPLERS


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 on success, 1 on an error, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    if hasattr(sys.stdout, "reconfigure"):  # not every encoding has ≤ and ±
        sys.stdout.reconfigure(errors="replace")
    try:
        options.command(options)
        return 0
    except KeyboardInterrupt as stop:
        keeping = commands.run_reproduce, commands.run_search, commands.run_smaller
        records = getattr(options, "record", False)
        keeps = records or options.command in (*keeping, _fetch)
        kept = str(stop) or "what has finished is kept" * keeps or "nothing is kept"
        print(f"\nstopped; {kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        text = str(error)
        for name in vars(options):
            if "_" in name:  # Python's name of an option, if no part of a file's
                alone = rf"(?<![\w./\\-]){name}(?!\w|\.\w)"
                text = re.sub(alone, f"--{name.replace('_', '-')}", text)
        print(f"tradeoffs: error: {text}", file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tradeoffs",
        description="What a model costs beside what it scores, on real MNIST.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run, name, description=None):
        """A further command; what comes back gives it an option."""
        text = description or run.__doc__ or ""
        first_line = text.partition("\n")[0]
        added = subparsers.add_parser(name, help=first_line, description=text)
        added.set_defaults(command=run)
        return added.add_argument

    models = ", ".join(MODELS)
    count = {"type": _at_least_one, "metavar": "N"}
    flag = {"action": "store_true"}
    default = "(default: %(default)s)"
    text = f"processes on this machine, a thread each {default}"
    jobs = {**count, "default": 1, "help": text}
    listing = {**flag, "help": "say what would be done, and stop"}

    text = (fetching.fetch.__doc__ or "").partition("Args:")[0]
    command(_fetch, "fetch", text)

    option = command(commands.run_reproduce, "reproduce")
    text = f"only this model; may be repeated: {', '.join(KNOWN_MODELS)}"
    option("--only", action="append", choices=KNOWN_MODELS, metavar="MODEL", help=text)
    option("--dataset", choices=fetching.SOURCES, help="only on it and its parts")
    option("--seeds", **count, help="only the first N seeds of each model")
    text = "train again what is recorded; a record is replaced when its run ends"
    option("--fresh", **flag, help=text)
    option("--jobs", **jobs)
    option("--list", **listing)

    option = command(_measure, "measure")
    text = (
        f"one of {models}; a file and a function in it that returns a torch.nn.Module "
        "or keras.Model; or an .onnx or .tflite file, for its runtime"
    )
    option("model", nargs="?", metavar="NAME|FILE.py:FUNCTION|FILE.onnx", help=text)
    text = "of one input, without the batch, such as 1,28,28; again for a further one"
    shape = {"type": _shape, "action": "append", "metavar": "N,N,N"}
    option("--input-shape", **shape, help=text)
    text = (
        "of the inputs, or again for each of several (default: the model's own, or "
        "whole numbers for one whose first layer is an embedding)"
    )
    dtype = {"choices": DTYPES, "action": "append", "metavar": "TYPE"}
    option("--input-dtype", **dtype, help=text)
    option("--framework", choices=FRAMEWORKS, help="of a model that is in both")
    text = f"of the training steps (default: {ARTICLE.batch_size})"
    option("--batch-size", **count, help=text)
    text = "to compute on (default: one for small steps of PyTorch, else all)"
    option("--threads", **count, help=text)
    option("--device", choices=probes.DEVICES, default="cpu", help=default)
    option("--json", metavar="FILE", help="also write the profile to this file")
    text = (
        "keep the profile of a named model; without a name, of each of them, and the "
        "memory predicted for a GPU, the dead units of the Small Nets, and replays of "
        "the search; the exported models; and networks trained again for ensembles"
    )
    option("--record", **flag, help=text)

    option = command(commands.run_search, "search")
    text = "names to lists of values (default: tradeoffs.SMALL_NET_SPACE)"
    option("--space", metavar="FILE.json", help=text)
    text = f"whose arguments the space names {default}"
    option("--model", default="small_net", metavar="NAME", help=text)
    text = (
        "a sqlite file, or any URL that Optuna takes (default: TRADEOFFS_STORAGE, or "
        "a file in the user's data folder)"
    )
    option("--storage", metavar="FILE|URL", help=text)
    option("--jobs", **jobs)
    text = (
        "let the workers of a Dask scheduler train, such as tcp://10.0.0.5:8786 "
        "(pip install '.[cluster]' in a checkout, here and there)"
    )
    option("--cluster", metavar="ADDRESS", help=text)
    text = f"the whole grid, or one of Optuna's {default}"
    option("--sampler", choices=SAMPLERS, default="grid", help=text)
    text = "networks to train, with a sampler other than grid"
    option("--trials", **count, help=text)
    text = f"{', '.join(OBJECTIVES)}, or several of them {default}"
    option("--objective", default="accuracy", metavar="NAME[,NAME]", help=text)
    text = "only the first N epochs of the article's schedule"
    option("--epochs", **count, help=text)
    text = f"whose training images, 10,000 of them held back {default}"
    sources = {"choices": fetching.SOURCES, "default": "mnist"}
    option("--dataset", **sources, help=text)
    text = "only the first N training images, and N held back at most; a quick look"
    option("--images", **count, help=text)
    option("--seed", type=int, default=0, help=default)
    text = f"the most that are trained side by side {default}"
    option("--max-networks", **count, default=32, help=text)
    text = (
        f"the table (default: results/{FILE} for the default search in full, "
        "otherwise results/custom-search/<study>.csv)"
    )
    option("--output", metavar="FILE.csv", help=text)
    option("--list", **listing)

    option = command(commands.run_smaller, "smaller")
    text = (
        "train the recipes of these rows on all training images, with five seeds each, "
        f"and read the test images, once: of {', '.join(map(str, ROWS))}"
    )
    rows = {"type": int, "choices": ROWS, "nargs": "+", "metavar": "LIMIT"}
    option("--test", **rows, help=text)
    text = f"score row {ABLATED} again, with one change taken back at a time"
    option("--ablate", **flag, help=text)
    option("--jobs", **jobs)

    option = command(_device, "device")
    option("folder", metavar="FOLDER", help="made where it is missing")

    option = command(_claims, "claims")
    option("--json", **flag, help="print JSON, for other programs")
    return parser


def _shape(text):
    return tuple(_at_least_one(size.strip()) for size in text.split(","))


def _at_least_one(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _fetch(options):
    failures = []
    for name, source in fetching.SOURCES.items():
        try:
            print(f"{source.title} is whole in {fetching.fetch(name)}")
        except fetching.DataError as error:
            failures.append(str(error))
    if failures:
        raise fetching.DataError("\n".join(failures))


def _measure(options):
    """Parameters, bytes, multiply-accumulates, times and memory of a model.

    Each is measured in processes of its own. With --record, what is found is kept in
    the results folder, for the verdicts: do that on a quiet machine.
    """
    if options.record:
        _record_measurements(options)
        return
    if options.model is None:
        raise ValueError(
            f"name a model: {', '.join(MODELS)}, FILE.py:FUNCTION or FILE.onnx"
        )
    if options.json is not None:
        records.check_writable(Path(options.json))
    profile = probes.measure(
        options.model,
        _one_or_several(options.input_shape),
        input_dtype=_one_or_several(options.input_dtype),
        framework=options.framework,
        batch_size=options.batch_size or ARTICLE.batch_size,
        threads=options.threads,
        device=options.device,
    )
    print(profile)
    if options.json is not None:
        profile.save(options.json)


def _one_or_several(given):
    return given[0] if given and len(given) == 1 else given and tuple(given)


def _record_measurements(options):
    for name in ("input_shape", "input_dtype", "framework", "batch_size", "json"):
        if getattr(options, name):
            flag = name.replace("_", "-")
            raise ValueError(f"--record measures models as published, without --{flag}")
    records.check_writable(measurements.profile_path(options.model or "keras_mlp"))
    measured = {"threads": options.threads, "device": options.device}
    models = [options.model] if options.model else None
    for profile in recording.record_profiles(models, **measured):
        print(profile)
    if not options.model:
        device.record_device_profiles()
        recording.record_gpu_memory()
        recording.record_dead_units()
        recording.record_replays()
        ensembles.record_ensembles()


def _device(options):
    """Write a folder that measures the models on a device of yours.

    It has the exported models, 1,000 test images and one script, which needs nothing
    but Python, NumPy and onnxruntime or ai-edge-litert. Copy the folder to the device,
    and run the script there.
    """
    fetching.fetch()
    folder = device.write_folder(options.folder)
    model = min(folder.glob("*.onnx"), key=lambda file: file.stat().st_size)
    print(f"{folder} is whole. On the device, for instance:")
    print(f"  pip install numpy onnxruntime && cd {folder.name}")
    print(f"  python measure_here.py {model.name} > {model.stem}.json")


def _claims(options):
    """Every claim of the article beside what was measured, anew from the records."""
    table = verdicts.claims()
    print(verdicts.as_json(table) if options.json else verdicts.as_text(table))


if __name__ == "__main__":
    sys.exit(main())
