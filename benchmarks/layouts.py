"""Milliseconds a training step in both layouts, and which one the rule takes.

python benchmarks/layouts.py [--threads 1] [--turns 5]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
import torchvision

import tradeoffs
from tradeoffs.training.pytorch import channels_last_pays

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
OURS = {
    "small_net": {},
    "small_net, pool 4": {"pool": 4},
    "small_net, no norm": {"batch_norm": False},
    "gap_cnn": {},
    "pytorch_cnn": {},
    "keras_cnn": {},
}
THEIRS = ("squeezenet1_1", "resnet18", "mobilenet_v2", "mnasnet0_5", "densenet121")


def turns_of(model, images):
    """A function that takes steps, and returns the milliseconds of one."""
    labels = torch.randint(0, 10, (len(images),))
    optimizer = torch.optim.SGD(model.parameters(), 5e-3, 0.9, fused=True)

    def turn(steps=20):
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        return (time.perf_counter() - start) / steps * 1e3

    turn(2)
    return turn


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    models = {
        name: (lambda n=name, a=a: tradeoffs.build(n.split(",")[0], "pytorch", **a))
        for name, a in OURS.items()
    } | {n: lambda n=n: torchvision.models.get_model(n, num_classes=10) for n in THEIRS}
    print(f"{options.threads} threads: contiguous (ms), channels_last (ms), the rule's")
    for name, build in models.items():
        images = torch.rand(16, 1, 28, 28) if name in OURS else torch.rand(8, 3, 64, 64)
        ways = [turns_of(build().to(memory_format=f), images) for f in LAYOUTS.values()]
        times = np.median([[w() for w in ways] for _ in range(options.turns)], axis=0)
        chosen = list(LAYOUTS)[channels_last_pays(build())]
        print(f"{name:<20}{times[0]:9.2f}{times[1]:9.2f}   {chosen}", flush=True)


if __name__ == "__main__":
    main()
