"""Milliseconds a training step at batch 16: ours beside the stock way.

Both ways train the same network on the same images with the same optimizer, in
turns, so that a slow moment of the machine meets both; each in a process of its
own, so that neither profits from the other's settings; and in several pairs of
processes, as one process can be slower than the next from start to end. The
figure of a way is the median over all turns. The ratio of a pair is the median
of its turns' ratios; shown are the median of the pairs, the lowest and the
highest. The stock way is a `DataLoader` with transforms a sample, as in
PyTorch's MNIST example, or `model.fit` on NumPy arrays for Keras.

    python benchmarks/training_step.py [--threads 2] [--pairs 7] [--turns 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time

import numpy as np

import tradeoffs
from tradeoffs import data
from tradeoffs.frameworks import set_threads
from tradeoffs.progress import bar
from tradeoffs.records import processor

BATCH = tradeoffs.ARTICLE.batch_size
STEPS = 200  # a turn
WARM_UP_STEPS = 50
# The targets are stated for two cores.
TARGETS = {
    ("pytorch_cnn", "pytorch"): 3.0,
    ("keras_cnn", "pytorch"): 1.4,
    ("keras_mlp", "pytorch"): None,
    ("keras_mlp", "keras"): 1.6,
    ("keras_cnn", "keras"): 1.6,
}


def our_way(model, framework):
    """A function that takes so many steps and returns the seconds."""
    import importlib

    backend = importlib.import_module(f"tradeoffs.training.{framework}")
    trainer = backend.Trainer(model, tradeoffs.mnist(), tradeoffs.ARTICLE, 0)
    order = np.random.default_rng(0)

    def turn(steps):
        indices = order.permutation(60_000)[: steps * BATCH].reshape(-1, BATCH)
        start = time.perf_counter()
        for first in range(0, steps, 50):
            trainer.train_steps(indices[first : first + 50])
        return time.perf_counter() - start

    return turn


def import_torchvision(torch):
    """torchvision, also where its compiled operators cannot be loaded.

    A torchvision built for CUDA beside a PyTorch built for the CPU finds no
    operators of its own, and then fails to import for want of their names.
    The data set and the transforms need none of them.
    """
    try:
        import torchvision
    except RuntimeError:
        for name in [m for m in sys.modules if m.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        boxes = "Tensor dets, Tensor scores, float iou_threshold"
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", f"({boxes}) -> Tensor")
        import torchvision
    return torchvision


def stock_pytorch(model):
    """The loop of PyTorch's MNIST example."""
    import torch

    torchvision = import_torchvision(torch)
    from torch.nn import functional

    transforms = torchvision.transforms
    images = torchvision.datasets.MNIST(
        data.cache_folder(),
        transform=transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
        ),
    )
    loader = torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=5e-3, momentum=0.9, nesterov=True
    )

    def turn(steps):
        model.train()
        batches = iter(loader)
        next(batches)
        start = time.perf_counter()
        for _ in range(steps):
            data, target = next(batches)
            optimizer.zero_grad()
            output = functional.log_softmax(model(data), dim=1)
            loss = functional.nll_loss(output, target)
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    return turn


def stock_keras(model):
    """`model.fit` on NumPy arrays; its start-up is left out of the time."""
    import keras

    dataset = tradeoffs.mnist()
    images = (dataset.train_images[..., None] / np.float32(255)).astype(np.float32)
    model.compile(
        keras.optimizers.SGD(5e-3, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds = time.perf_counter() - self.start

    def turn(steps):
        clock, taken = Clock(), slice(steps * BATCH)
        # Of two epochs the second is read: the first one starts things up.
        model.fit(
            images[taken],
            dataset.train_labels[taken],
            batch_size=BATCH,
            epochs=2,
            verbose=0,
            callbacks=[clock],
        )
        return clock.seconds

    return turn


def start(way, name, framework, threads):
    """Make a way ready, in a process of its own."""
    global _take
    set_threads(framework, threads)
    model = tradeoffs.build(name, framework, seed=0)
    if way == "stock":
        _take = {"pytorch": stock_pytorch, "keras": stock_keras}[framework](model)
    else:
        _take = our_way(model, framework)
    _take(WARM_UP_STEPS)


def milliseconds_a_step():
    """One turn of the way that this process holds."""
    return _take(STEPS) / STEPS * 1e3


def compare(name, framework, threads, turns):
    """Milliseconds a step, [turns, 2]: ours and stock, of one pair of processes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as ours, context.Pool(1) as stock:
        ours.apply(start, ("ours", name, framework, threads))
        stock.apply(start, ("stock", name, framework, threads))
        return np.array(
            [
                [process.apply(milliseconds_a_step) for process in (ours, stock)]
                for _ in range(turns)
            ]
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    print(f"{processor()}, {options.threads} threads, batch {BATCH}")
    print(
        f"{'model':<14}{'framework':<11}{'ours ms':>9}{'stock ms':>10}{'ratio':>7}"
        "  of the pairs"
    )
    for (name, framework), target in TARGETS.items():
        pairs = np.stack(
            [
                compare(name, framework, options.threads, options.turns)
                for _ in bar(iterable=range(options.pairs), desc=name, leave=False)
            ]
        )
        ours, stock = np.median(pairs, axis=(0, 1))
        ratios = np.median(pairs[..., 1] / pairs[..., 0], axis=1)
        aim = f"   (target {target})" if target else ""
        print(
            f"{name:<14}{framework:<11}{ours:9.2f}{stock:10.2f}"
            f"{np.median(ratios):7.2f}  {ratios.min():.2f} to {ratios.max():.2f}{aim}",
            flush=True,
        )


if __name__ == "__main__":
    main()
