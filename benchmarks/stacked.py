"""Seconds an epoch and network: the Small Net alone, and K of them stacked.

All ways take turns within one process, so that a slow moment of the machine
meets each of them. A time is the median over turns; a ratio is the median of
the turns' ratios, against the network alone in its faster layout.

    python benchmarks/stacked.py [--threads 2] [--turns 7] [--networks 1 2 4 ...]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import tradeoffs
from tradeoffs.experiments import processor
from tradeoffs.frameworks import available_processors, set_threads

BATCH = tradeoffs.ARTICLE.batch_size
NUM_IMAGES = 60_000
STEPS = 300  # a turn, over the networks, so that all turns are about as long


def turns_of(trainer, shape):
    """A function that takes steps and returns the milliseconds of one network's."""
    order = np.random.default_rng(0)

    def turn():
        indices = order.integers(0, NUM_IMAGES, (*shape, BATCH))
        start = time.perf_counter()
        trainer.train_steps(indices)
        return (time.perf_counter() - start) / np.prod(shape) * 1e3

    turn()
    return turn


def main():
    from tradeoffs.training.pytorch import Trainer
    from tradeoffs.training.stacked import StackedTrainer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--networks", type=int, nargs="+", default=(1, 4, 8, 16, 32))
    parser.add_argument("--kernel-size", type=int, default=3)
    options = parser.parse_args()
    set_threads("pytorch", options.threads)
    dataset, schedule = tradeoffs.mnist(), tradeoffs.ARTICLE

    def networks(count):
        size = options.kernel_size
        return [tradeoffs.build("small_net", kernel_size=size) for _ in range(count)]

    alone = Trainer(networks(1)[0], dataset, schedule, 0)
    ways = {"alone": turns_of(alone, (STEPS,))}
    for count in options.networks:
        trainer = StackedTrainer(networks(count), dataset, schedule)
        trainer.set_learning_rates([schedule.learning_rate] * count)
        ways[count] = turns_of(trainer, (count, max(5, STEPS // count)))
    times = np.array([[turn() for turn in ways.values()] for _ in range(options.turns)])
    print(f"Small Net, batch {BATCH}; {processor()}, {options.threads} threads")
    print(f"{'networks':>8}{'ms a step and network':>23}{'s an epoch':>12}{'ratio':>7}")
    for way, column in zip(ways, times.T, strict=True):
        step, ratio = np.median(column), np.median(times[:, 0] / column)
        epoch = step * NUM_IMAGES / BATCH / 1e3
        print(f"{way:>8}{step:23.3f}{epoch:12.2f}{ratio:7.1f}")


if __name__ == "__main__":
    main()
