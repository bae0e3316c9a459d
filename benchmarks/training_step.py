"""Milliseconds a training step at batch 16: ours beside the stock way.

Both ways train the same network on the same images with the same optimizer, each in
processes of its own, which take turns: one process can be slower than the next from
start to end. The stock way is PyTorch's own MNIST example with a `DataLoader`, or
`model.fit` on NumPy arrays for Keras. The first of a process's epochs warms it up.
"""

import time

import loky
import numpy as np
from common import BATCH, first_images, in_turns, options, show, spread

import tradeoffs
from tradeoffs import fetching
from tradeoffs.frameworks import set_threads
from tradeoffs.processes import in_fresh_process

EPOCHS = 4
MODELS = (
    ("pytorch_cnn", "pytorch"),
    ("keras_cnn", "pytorch"),
    ("keras_mlp", "pytorch"),
    ("keras_mlp", "keras"),
    ("keras_cnn", "keras"),
)


def ours(model, count, threads):
    """Seconds of each epoch of so many images."""
    schedule = tradeoffs.ARTICLE.first(EPOCHS)
    chosen = {"threads": threads, "progress": False}
    run = tradeoffs.fit(model, first_images(count), schedule, **chosen)
    return run.history.train_seconds


def stock_pytorch(model, count, threads):
    """The same, by the loop of PyTorch's MNIST example."""
    import torch
    from torch.nn import functional
    from torchvision import datasets, transforms

    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    images = datasets.MNIST(
        fetching.cache_folder(), transform=transforms.Compose(steps)
    )
    images = torch.utils.data.Subset(images, range(count))
    loader = torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), 5e-3, 0.9, nesterov=True)
    times = [time.perf_counter()]
    for _ in range(EPOCHS):
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            output = functional.log_softmax(model(inputs), dim=1)
            functional.nll_loss(output, labels).backward()
            optimizer.step()
        times.append(time.perf_counter())
    return np.diff(times)


def stock_keras(model, count, threads):
    """The same, by `model.fit`."""
    import keras

    data, times = first_images(count), []
    images = (data.train_images[..., None] / np.float32(255)).astype(np.float32)
    optimizer = keras.optimizers.SGD(5e-3, momentum=0.9, nesterov=True)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda *_: times.append(-time.perf_counter()),
        on_epoch_end=lambda *_: times.append(time.perf_counter()),
    )
    chosen = {"batch_size": BATCH, "epochs": EPOCHS, "verbose": 0}
    model.fit(images, data.train_labels, callbacks=[clock], **chosen)
    return np.reshape(times, (EPOCHS, 2)).sum(1)


STOCK = {"pytorch": stock_pytorch, "keras": stock_keras}


def step_ms(way, name, framework, threads, steps):
    """Of one way: the median over a process's epochs, less the first."""
    set_threads(framework, threads)
    model = tradeoffs.build(name, framework, seed=0)
    return np.median(way(model, steps * BATCH, threads)[1:]) / steps * 1e3


chosen = options(__doc__, threads=loky.cpu_count(), pairs=7, steps=200)
rows = []
for wanted in MODELS:
    given = *wanted, chosen.threads, chosen.steps
    ways = {
        "ours (ms)": (step_ms, ours, *given),
        "stock (ms)": (step_ms, STOCK[wanted[1]], *given),
    }
    times = in_turns(chosen.pairs, in_fresh_process, ways)
    ratio = spread(times["stock (ms)"] / times["ours (ms)"])
    medians = times.median().round(2)
    rows.append({"model": " ".join(wanted), **medians, "ratio": ratio})
show(f"{chosen.threads} threads, batch {BATCH}", rows)
