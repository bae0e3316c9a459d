"""Are the probes right? The epoch that a profile extrapolates, and a whole one.

A turn is one process, since processes that are started alike can differ in speed by
a third. The steps are timed before and after the epoch, since one process can too.
The epoch is the second of `tradeoffs.fit`: 60,000 images, evaluation left out.

    python benchmarks/probes.py [--threads N] [--turns 5] [MODEL ...]
"""

from __future__ import annotations

import argparse
import statistics

import tradeoffs
from tradeoffs.experiments import processor
from tradeoffs.frameworks import set_threads
from tradeoffs.probes.source import source_of
from tradeoffs.probes.tasks import measured
from tradeoffs.processes import in_fresh_process

TOLERANCE = 0.10  # between the extrapolated and the measured epoch
MAX_SECONDS = 3.0


def turn(name, threads):
    """Seconds of an epoch, extrapolated and measured, and the threads."""
    source = source_of(name, None, {})
    if threads:
        set_threads(source.framework, threads)
    asked = tradeoffs.Profile(
        name=name,
        framework=source.framework,
        input_shape=(),
        batch_size=tradeoffs.ARTICLE.batch_size,
        inference_batch_size=1,
        threads=threads,
    )
    before = measured(source, asked, ("training_time",), MAX_SECONDS)
    run = tradeoffs.fit(
        tradeoffs.build(name, seed=0),
        tradeoffs.mnist(),
        tradeoffs.ARTICLE.first(2),
        threads=threads,
        progress=False,
    )
    after = measured(source, asked, ("training_time",), MAX_SECONDS)
    extrapolated = (before["epoch_seconds"] + after["epoch_seconds"]) / 2
    return extrapolated, run.history.train_seconds.iloc[1], before["threads"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=tradeoffs.MODELS)
    parser.add_argument("--threads", type=int, help="default: as `measure` chooses")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    print(f"{processor()}, batch {tradeoffs.ARTICLE.batch_size}, seconds an epoch")
    print("model          threads  extrapolated  measured  ratio")
    for name in options.models:
        turns = [
            in_fresh_process(turn, name, options.threads, threads=options.threads)
            for _ in range(options.turns)
        ]
        extrapolated, measured_seconds, threads = zip(*turns, strict=True)
        ratio = statistics.median(e / m for e, m, _ in turns)
        print(
            f"{name:<13}{threads[0]:>9}{statistics.median(extrapolated):14.2f}"
            f"{statistics.median(measured_seconds):10.2f}{ratio:7.2f}"
            f"{'' if abs(ratio - 1) < TOLERANCE else '  too far apart'}"
        )


if __name__ == "__main__":
    main()
