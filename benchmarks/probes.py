"""The probes themselves: are they right, what do they cost, how far is the limit?

- *epoch*: seconds an epoch as a profile extrapolates them, before and after, over
  those of a whole measured epoch of `tradeoffs.fit` (60,000 images, evaluation
  left out) in the same process; the median of several such turns.
- *overhead*: seconds of the measuring processes that are not the model's.
- *limit*: how many times longer a training step takes than its arithmetic would
  at this machine's rate of matrix multiplication. A step counts three times the
  forward pass's multiply-accumulates: forward, by input, by weight.

    python benchmarks/probes.py [--threads 2] [--turns 5] [MODEL ...]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from tradeoffs.models import MODELS
from tradeoffs.probes import PARTS, Child
from tradeoffs.progress import bar
from tradeoffs.records import processor

SIDE = 2048  # of the square matrices
TOLERANCE = 0.10  # between the extrapolated and the measured epoch

_TURN = """
import json, sys
import tradeoffs
from tradeoffs.probes.tasks import TASKS

order = json.loads(sys.argv[1])
before = TASKS["training"](order, lambda stage: None)
run = tradeoffs.fit(
    tradeoffs.build(order["source"]["name"], seed=0),
    tradeoffs.mnist(),
    tradeoffs.ARTICLE.first(2),
    progress=False,
)
after = TASKS["training"](order, lambda stage: None)
print(json.dumps([[before, after], run.history.train_seconds.iloc[1]]))
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


def from_child(code, arguments, threads):
    """What a few lines print last in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def order_for(child, threads, parts):
    """What a measuring process is told, as `tradeoffs.measure` tells it."""
    return {
        "source": child.source,
        "framework": child.framework,
        "input_shape": child.known_shape(),
        "batch_size": 16,
        "inference_batch_size": 1000,
        "threads": threads,
        "device": "cpu",
        "parts": parts,
        "max_seconds": 3.0,
    }


def turn(name, threads):
    """The figures of a profile, and the seconds of a whole epoch.

    In one process, since processes that are started alike can differ in speed
    by a third; before and after the epoch, since one process does too.
    """
    with Child(name) as child:
        order = order_for(child, threads, ("size", "training_time"))
        profiles, whole = from_child(_TURN, order, threads)
    times = ("train_step_ms", "epoch_seconds")
    mean = {column: statistics.mean(p[column] for p in profiles) for column in times}
    return profiles[0] | mean, whole


def overhead(name, threads):
    """Seconds that measuring takes beside the timed calls, and all seconds."""
    with Child(name) as child:
        order = order_for(child, threads, PARTS)
        start = time.perf_counter()
        for task in ("training", "inference"):
            child.carry_out(order | {"task": task}, bar(False))
        seconds = time.perf_counter() - start
    return seconds - child.seconds_in_model, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    threads = options.threads
    rate = from_child(_MATRIX_RATE, (SIDE, threads), threads)
    print(f"{processor()}, {threads} threads, batch 16")
    print(f"matrix multiplication: {rate / 1e9:.1f} billion multiply-accumulates/s")
    print(
        f"{'model':<13}{'extrapolated s':>15}{'measured s':>12}{'epoch':>7}"
        f"{'overhead s':>12}{'of s':>7}{'step ms':>9}{'limit ms':>10}{'limit':>8}"
    )
    for name in options.models:
        turns = [turn(name, threads) for _ in range(options.turns)]
        ratio = statistics.median(p["epoch_seconds"] / whole for p, whole in turns)
        whole = statistics.median(whole for _, whole in turns)
        extrapolated = statistics.median(p["epoch_seconds"] for p, _ in turns)
        step_ms = statistics.median(p["train_step_ms"] for p, _ in turns)
        beside, seconds = overhead(name, threads)
        limit_ms = 3 * turns[0][0]["macs"] * 16 / rate * 1e3
        verdict = "" if abs(ratio - 1) < TOLERANCE else "  more than 10 % apart"
        print(
            f"{name:<13}{extrapolated:15.2f}{whole:12.2f}{ratio:7.2f}"
            f"{beside:12.1f}{seconds:7.1f}{step_ms:9.2f}"
            f"{limit_ms:10.3f}{step_ms / limit_ms:8.1f}{verdict}"
        )


if __name__ == "__main__":
    main()
