"""Milliseconds a training step at batch 16: ours beside the stock way.

Both ways train the same network on the same images with the same optimizer, each in
processes of its own, which take turns: one process can be slower than the next from
start to end. Shown are the medians, and the median, lowest and highest ratio of the
pairs. The stock way is PyTorch's own MNIST example with a `DataLoader`, or
`model.fit` on NumPy arrays for Keras.

    python benchmarks/training_step.py [--threads 2] [--pairs 7]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import tradeoffs
from tradeoffs import fetching
from tradeoffs.experiments import processor
from tradeoffs.frameworks import available_processors, set_threads
from tradeoffs.processes import in_fresh_process
from tradeoffs.progress import bar

BATCH = tradeoffs.ARTICLE.batch_size
STEPS = 200  # a turn
WARM_UP_STEPS, TURNS = 50, 3
MODELS = (
    ("pytorch_cnn", "pytorch"),
    ("keras_cnn", "pytorch"),
    ("keras_mlp", "pytorch"),
    ("keras_mlp", "keras"),
    ("keras_cnn", "keras"),
)


def our_way(model, framework):
    """A function that takes so many steps and returns the seconds."""
    import importlib

    backend = importlib.import_module(f"tradeoffs.training.{framework}")
    trainer = backend.Trainer(model, tradeoffs.mnist(), tradeoffs.ARTICLE, 0)
    order = np.random.default_rng(0)

    def turn(steps):
        indices = order.permutation(60_000)[: steps * BATCH].reshape(-1, 50, BATCH)
        start = time.perf_counter()
        for chunk in indices:
            trainer.train_steps(chunk)
        return time.perf_counter() - start

    return turn


def stock_pytorch(model):
    """The loop of PyTorch's MNIST example."""
    import torch
    import torchvision
    from torch.nn import functional

    transforms = torchvision.transforms
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    images = torchvision.datasets.MNIST(
        fetching.cache_folder(), transform=transforms.Compose(steps)
    )
    loader = torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), 5e-3, 0.9, nesterov=True)

    def turn(steps):
        model.train()
        batches = iter(loader)
        next(batches)
        start = time.perf_counter()
        for _ in range(steps):
            images, labels = next(batches)
            optimizer.zero_grad()
            output = functional.log_softmax(model(images), dim=1)
            functional.nll_loss(output, labels).backward()
            optimizer.step()
        return time.perf_counter() - start

    return turn


def stock_keras(model):
    """`model.fit` on NumPy arrays; its start-up is left out of the time."""
    import keras

    dataset = tradeoffs.mnist()
    images = (dataset.train_images[..., None] / np.float32(255)).astype(np.float32)
    optimizer = keras.optimizers.SGD(5e-3, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    def turn(steps):
        begun = []
        taken = slice(steps * BATCH)
        # Of two epochs the second is timed: the first one starts things up.
        clock = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: begun.append(time.perf_counter())
        )
        options = {"batch_size": BATCH, "epochs": 2, "verbose": 0}
        labels = dataset.train_labels[taken]
        model.fit(images[taken], labels, callbacks=[clock], **options)
        return time.perf_counter() - begun[-1]

    return turn


def milliseconds_a_step(way, name, framework, threads):
    """Of one way: the median of a few turns in this process."""
    set_threads(framework, threads)
    model = tradeoffs.build(name, framework, seed=0)
    stock = {"pytorch": stock_pytorch, "keras": stock_keras}[framework]
    take = stock(model) if way == "stock" else our_way(model, framework)
    take(WARM_UP_STEPS)
    return np.median([take(STEPS) for _ in range(TURNS)]) / STEPS * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_processors())
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    print(f"{processor()}, {options.threads} threads, batch {BATCH}")
    print("model, framework: ours (ms), stock (ms), ratio, lowest to highest pair")
    for name, framework in MODELS:
        wanted = name, framework, options.threads
        pairs = np.array(
            [
                [
                    in_fresh_process(milliseconds_a_step, way, *wanted)
                    for way in ("ours", "stock")
                ]
                for _ in bar(iterable=range(options.pairs), desc=name, leave=False)
            ]
        )
        ours, stock = np.median(pairs, axis=0)
        ratios = pairs[:, 1] / pairs[:, 0]
        print(
            f"{name:<12} {framework:<8}{ours:8.2f}{stock:8.2f}{np.median(ratios):8.2f}"
            f"   {ratios.min():.2f} to {ratios.max():.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
