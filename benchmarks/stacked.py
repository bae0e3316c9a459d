"""Seconds an epoch and network: the Small Net alone, and K of them stacked.

All ways take turns within one process, so that a slow moment of the machine
meets each of them. The figure of a way is the median over turns; the ratio is
the median of the turns' ratios. Then what bounds the stack: a line through the
milliseconds a step over K separates what a step costs anyway from what each
network costs, and the profiler says where the largest stack spends its time.

    python benchmarks/stacked.py [--threads 2] [--turns 7] [--networks 1 2 4 ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np

import tradeoffs
from tradeoffs.frameworks import import_torch, set_threads
from tradeoffs.records import processor

SCHEDULE = tradeoffs.ARTICLE
BATCH = SCHEDULE.batch_size
NUM_IMAGES = 60_000
STEPS_AN_EPOCH = NUM_IMAGES // BATCH
NETWORKS = (1, 2, 4, 8, 16, 32, 64)
TARGET = 6.0  # stated for two cores
ALONE_STEPS = 150  # a turn
STACKED_STEPS = 300  # a turn, over K, so that all turns are about as long
LARGEST = 12  # operations that the profile shows


def turns_of(trainer, networks, num_steps):
    """A function that takes steps and returns the milliseconds of one."""
    order = np.random.default_rng(0)
    steps = max(5, num_steps // networks)

    def turn():
        shape = (steps, BATCH) if networks == 1 else (networks, steps, BATCH)
        indices = order.integers(0, NUM_IMAGES, shape)
        start = time.perf_counter()
        trainer.train_steps(indices)
        return (time.perf_counter() - start) / steps * 1e3

    turn()
    return turn


def alone(arguments):
    from tradeoffs.training.pytorch import Trainer

    network = tradeoffs.build("small_net", seed=0, **arguments)
    trainer = Trainer(network, tradeoffs.mnist(), SCHEDULE, 0)
    return turns_of(trainer, 1, ALONE_STEPS)


def stacked(count, arguments):
    from tradeoffs.training.stacked import StackedTrainer

    networks = [
        tradeoffs.build("small_net", seed=seed, **arguments) for seed in range(count)
    ]
    trainer = StackedTrainer(networks, tradeoffs.mnist(), SCHEDULE)
    trainer.set_learning_rates([SCHEDULE.learning_rate] * count)
    if count > 1:
        return trainer, turns_of(trainer, count, STACKED_STEPS)
    one = turns_of(_OneNetwork(trainer), 1, ALONE_STEPS)
    return trainer, one


class _OneNetwork:
    """A stack of one, called like a network alone."""

    def __init__(self, trainer):
        self.trainer = trainer

    def train_steps(self, indices):
        return self.trainer.train_steps(indices[None])


def profile(trainer, count):
    """The share of a step's time of each operation, the largest first."""
    torch = import_torch()
    indices = np.random.default_rng(1).integers(0, NUM_IMAGES, (count, 20, BATCH))
    trainer.train_steps(indices)
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity]) as profiled:
        trainer.train_steps(indices)
    events = profiled.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    shares = [(event.self_cpu_time_total / total, event.key) for event in events]
    return sorted(shares, reverse=True)[:LARGEST]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--networks", type=int, nargs="+", default=NETWORKS)
    parser.add_argument("--kernel-size", type=int, default=3)
    parser.add_argument("--pool", type=int, default=2)
    options = parser.parse_args()
    set_threads("pytorch", options.threads)
    arguments = {"kernel_size": options.kernel_size, "pool": options.pool}
    single = alone(arguments)
    stacks = {count: stacked(count, arguments) for count in options.networks}
    rows = [
        (single(), {count: turn() for count, (_, turn) in stacks.items()})
        for _ in range(options.turns)
    ]
    print(
        f"Small Net, {options.kernel_size}x{options.kernel_size} first kernel, max "
        f"pool {options.pool}, batch {BATCH}; {processor()}, {options.threads} threads"
    )
    print(f"{'networks':>8}{'ms a step':>11}{'s an epoch and network':>24}{'ratio':>7}")
    step = statistics.median(row[0] for row in rows)
    print(f"{'alone':>8}{step:11.2f}{step * STEPS_AN_EPOCH / 1e3:24.2f}{1:7.1f}")
    medians = {}
    for count in stacks:
        step = medians[count] = statistics.median(row[1][count] for row in rows)
        ratio = statistics.median(row[0] / row[1][count] * count for row in rows)
        epoch = step / count * STEPS_AN_EPOCH / 1e3
        aim = f"   (target {TARGET:g})" if count == max(stacks) else ""
        print(f"{count:8}{step:11.2f}{epoch:24.2f}{ratio:7.1f}{aim}")
    if len(medians) > 1:
        each, fixed = np.polyfit(list(medians), list(medians.values()), 1)
        print(f"a step costs {fixed:.2f} ms, and {each:.2f} ms a network")
    count = max(stacks)
    print(f"where a step of {count} networks spends its time:")
    for share, name in profile(stacks[count][0], count):
        print(f"{share:8.0%}  {name}")


if __name__ == "__main__":
    main()
