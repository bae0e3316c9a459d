"""Few images: does the order of the networks depend on how long they train?"""

import numpy as np
import pandas as pd
import torch
from common import options, show

import tradeoffs
from tradeoffs import ARTICLE
from tradeoffs.progress import bar
from tradeoffs.recorded import CHOSEN_SMALL_NET
from tradeoffs.tables import percent
from tradeoffs.training.pytorch import Trainer

NETWORKS = {"small_net": CHOSEN_SMALL_NET, "pytorch_cnn": {}, "keras_cnn": {}}
SETS = tradeoffs.mnist, tradeoffs.fashion_mnist


def error(name, dataset, schedule, seed):
    """The share of the test images, read once, after the last epoch."""
    network = tradeoffs.build(name, "pytorch", seed=seed, **NETWORKS[name])
    looked_at = dataset.head(len(dataset.train_images), 100)
    tradeoffs.fit(network, looked_at, schedule, seed, progress=False)
    _, found = Trainer(network, dataset, schedule, seed).evaluate()
    return np.mean(found != dataset.test_labels)


chosen = options(__doc__, images=600, times=(1, 10), seeds=3)
torch.set_num_threads(1)
rows = []
ways = [(n, t) for n in NETWORKS for t in chosen.times]
for name, times in bar(iterable=ways):
    schedule = ARTICLE.compressed(times * ARTICLE.epochs)
    row = {"network": tradeoffs.label(name), "epochs": schedule.epochs}
    for get in SETS:
        given = name, get().head(chosen.images, 10_000), schedule
        errors = pd.Series([error(*given, seed) for seed in range(chosen.seeds)])
        row[get.__name__] = percent(errors.mean(), errors.std())
    rows.append(row)
show(f"test error after {chosen.images} images, {chosen.seeds} seeds", rows)
