"""Are the probes right? What a profile says of an epoch and an image, and the truth.

A turn is one process, since processes that are started alike can differ in speed by
a third. The steps are timed before and after the epoch, since one process can too.
The epoch is the second of `tradeoffs.fit`: evaluation is left out. One image is timed
by `timeit`, in PyTorch in both layouts, of which the faster counts.
"""

import copy
import functools
import timeit

import numpy as np
import pandas as pd
from common import BATCH, first_images, options, show, spread

import tradeoffs
from tradeoffs.frameworks import set_threads
from tradeoffs.probes.source import source_of
from tradeoffs.probes.tasks import measured
from tradeoffs.processes import in_fresh_process

TOLERANCE = 0.10  # between what the probes say and the truth
MAX_SECONDS = 3.0
REPEATS, CALLS = 9, 100


def calls_of_one_image(name, framework):
    """Functions that answer for one image, one a layout."""
    model = tradeoffs.build(name, framework, seed=0)
    if framework == "keras":
        import tensorflow as tf

        image = tf.random.uniform((1, 28, 28, 1))
        # An argument by name would cost a tenth of a millisecond.
        graph = tf.function(lambda images: model(images, training=False))
        return [lambda: graph(image).numpy()]
    import torch

    contiguous = model.eval().requires_grad_(False)
    other = copy.deepcopy(contiguous).to(memory_format=torch.channels_last)
    image = torch.rand(1, 1, 28, 28)
    return [functools.partial(each, image) for each in (contiguous, other)]


def turn(name, count):
    """An epoch and an answer, and what the probes say of each over the truth."""
    source = source_of(name, None, {})
    asked = tradeoffs.Profile(
        name=name,
        framework=source.framework,
        input_shape=(),
        batch_size=BATCH,
        inference_batch_size=1,
        threads=None,
    )
    parts = "training_time", "inference_time"
    before = measured(source, asked, parts, None, MAX_SECONDS)
    model = tradeoffs.build(name, seed=0)
    wanted = first_images(count), tradeoffs.ARTICLE.first(2)
    history = tradeoffs.fit(model, *wanted, progress=False).history
    if source.framework == "pytorch":
        set_threads("pytorch", before["threads"])
    calls = calls_of_one_image(name, source.framework)
    times = [timeit.repeat(call, number=CALLS, repeat=REPEATS) for call in calls]
    truth = {
        "epoch_seconds": history.train_seconds.iloc[1] * 60_000 / count,
        "latency_ms_p50": min(map(np.median, times)) / CALLS * 1e3,
    }
    after = measured(source, asked, parts, None, MAX_SECONDS)
    said = {field: (before[field] + after[field]) / 2 for field in truth}
    return truth | {
        f"{field}, said / true": said[field] / truth[field] for field in said
    }


chosen = options(__doc__, turns=5, images=60_000, models=tuple(tradeoffs.MODELS))
rows = []
for name in chosen.models:
    turns = [in_fresh_process(turn, name, chosen.images) for _ in range(chosen.turns)]
    found = pd.DataFrame(turns)
    ratios = found.filter(like="said").median()
    right = "yes" if (abs(ratios - 1) < TOLERANCE).all() else "no"
    rows.append({"model": name, **found.apply(spread), "within 10 %": right})
show(f"batch {BATCH}, default threads", rows)
