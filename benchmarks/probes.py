"""The probes themselves: are they right, what do they cost, how far is the limit?

- *epoch*: seconds an epoch as a profile extrapolates them, over those of a whole
  measured epoch of `tradeoffs.fit` (60,000 images, evaluation left out). Both
  take turns; the ratio is the median of the turns'.
- *overhead*: seconds of the measuring processes that are not the model's.
- *limit*: how many times longer a training step takes than its arithmetic would
  at this machine's rate of matrix multiplication. A step counts three times the
  forward pass's multiply-accumulates: forward, by input, by weight.

    python benchmarks/probes.py [--threads 2] [--turns 3] [MODEL ...]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import tradeoffs
from tradeoffs.models import MODELS
from tradeoffs.probes import PARTS, Child
from tradeoffs.progress import bar
from tradeoffs.records import processor

SIDE = 2048  # of the square matrices
TOLERANCE = 0.10  # between the extrapolated and the measured epoch

_WHOLE_EPOCH = """
import json, sys
import tradeoffs
from tradeoffs.frameworks import set_threads
from tradeoffs.models import framework_for

name, threads = json.loads(sys.argv[1])
set_threads(framework_for(name), threads)
run = tradeoffs.fit(
    tradeoffs.build(name, seed=0),
    tradeoffs.mnist(),
    tradeoffs.ARTICLE.first(2),
    progress=False,
)
print(run.history.train_seconds.iloc[1])
"""

_MATRIX_RATE = """
import json, sys
import torch
from torch.utils.benchmark import Timer

side, threads = json.loads(sys.argv[1])
a, b = torch.rand(side, side), torch.rand(side, side)
timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=threads)
print(side**3 / timer.blocked_autorange(min_run_time=2).median)
"""


def number_from_child(code, arguments, threads):
    """What a few lines print in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    return float(done.stdout.split()[-1])


def turn(name, threads):
    """A profile, and the seconds of a whole epoch right after it."""
    profile = tradeoffs.measure(
        name, threads=threads, parts=("size", "training_time"), progress=False
    )
    return profile, number_from_child(_WHOLE_EPOCH, (name, threads), threads)


def overhead(name, threads):
    """Seconds that measuring takes beside the timed calls, and all seconds."""
    with Child(name) as child:
        order = {
            "input_shape": child.known_shape(),
            "batch_size": 16,
            "inference_batch_size": 1000,
            "threads": threads,
            "device": "cpu",
            "parts": PARTS,
            "max_seconds": 3.0,
        }
        start = time.perf_counter()
        for task in ("training", "inference"):
            child.carry_out(order | {"task": task}, bar(False))
        seconds = time.perf_counter() - start
    return seconds - child.seconds_in_model, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    threads = options.threads
    rate = number_from_child(_MATRIX_RATE, (SIDE, threads), threads)
    print(f"{processor()}, {threads} threads, batch 16")
    print(f"matrix multiplication: {rate / 1e9:.1f} billion multiply-accumulates/s")
    print(
        f"{'model':<13}{'extrapolated s':>15}{'measured s':>12}{'epoch':>7}"
        f"{'overhead s':>12}{'of s':>7}{'step ms':>9}{'limit ms':>10}{'limit':>8}"
    )
    for name in options.models:
        turns = [turn(name, threads) for _ in range(options.turns)]
        ratio = statistics.median(p.epoch_seconds / whole for p, whole in turns)
        whole = statistics.median(whole for _, whole in turns)
        profiles = sorted((p for p, _ in turns), key=lambda p: p.epoch_seconds)
        profile = profiles[len(profiles) // 2]
        beside, seconds = overhead(name, threads)
        limit_ms = 3 * profile.macs * 16 / rate * 1e3
        verdict = "" if abs(ratio - 1) < TOLERANCE else "  more than 10 % apart"
        print(
            f"{name:<13}{profile.epoch_seconds:15.2f}{whole:12.2f}{ratio:7.2f}"
            f"{beside:12.1f}{seconds:7.1f}{profile.train_step_ms:9.2f}"
            f"{limit_ms:10.3f}{profile.train_step_ms / limit_ms:8.1f}{verdict}"
        )


if __name__ == "__main__":
    main()
