"""Measurements made anew, for `python -m tradeoffs measure --record`.

Times are fair only on a machine that does nothing else meanwhile. `measurements` reads
what is written here.
"""

import itertools
from collections.abc import Iterable

import loky
import numpy as np

from tradeoffs import article, series
from tradeoffs.measurements import (
    PICTURES,
    VOLUME,
    EvidenceError,
    profile_path,
    write_rows,
)
from tradeoffs.models import MODELS, model_info
from tradeoffs.processes import FreshProcesses
from tradeoffs.progress import bar
from tradeoffs.recorded import (
    CHOSEN_SMALL_NET,
    NETS_OF_THE_TEXT,
    SMALL_NETS,
    seeds_of,
)
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import read_table, replay

# Whose memory is predicted, at which shape and batch.
MEMORY_POINTS = {
    "keras_mlp": PICTURES,
    "keras_cnn": (*PICTURES, (VOLUME, 1)),
    "pytorch_cnn": (*PICTURES, (VOLUME, 1)),
}
# After which epochs the dead units of the Small Nets are counted.
DEAD_AFTER = 1, 5, ARTICLE.epochs
SIDE_BY_SIDE = 20
# How the recorded search is searched again, and how often, for so many networks.
REPLAYED = ("grid", "tpe", "nsga2")
REPLAYS, REPLAYED_NETWORKS = 200, 120


def record_profiles(models: Iterable[str] | None = None, *, turns: int = 5, **options):
    """Measure models in turns, in every framework they have, and write the profiles.

    Args:
        models: names of `MODELS`; by default all, and the chosen Small Net too.
        turns: how often each is measured.
        options: of `tradeoffs.measure`; by default all on one thread, as the recorded
            runs, so that their times compare and vary least.

    Returns:
        The `Profile`s that were written.

    Raises:
        EvidenceError: a model cannot be measured, or the machine was busy with
            something else meanwhile; nothing was recorded.
    """
    from tradeoffs.probes import MeasureError, measure_in_turns

    if options.get("threads") is None:
        options["threads"] = series.THREADS
    try:
        asked = [
            {"model": model, "framework": framework}
            for model in models or MODELS
            for framework in model_info(model).frameworks
        ]
        if models is None:
            asked.append({"model": "small_net", **CHOSEN_SMALL_NET})
        found = measure_in_turns(asked, turns=turns, quiet=True, **options)
    except MeasureError as error:
        raise EvidenceError(f"{error}; nothing was recorded") from error
    for profile in found:
        profile.save(profile_path(profile.variant, profile.framework))
    return found


def record_replays() -> None:
    """Replay the recorded search `REPLAYS` times a sampler, and write the quartiles."""
    table, most = read_table(), article.NUM_PARAMETERS["small_net"]
    rows = []
    for sampler in REPLAYED:
        seeds = bar(iterable=range(REPLAYS), desc=f"replaying {sampler}")
        best = [replay(table, sampler, REPLAYED_NETWORKS, seed, most) for seed in seeds]
        # As long as no network is small enough, any is better.
        quartiles = np.percentile(np.nan_to_num(best), (25, 50, 75), axis=0)
        rows.append({"sampler": sampler, "quartiles": quartiles.round(4).tolist()})
    write_rows("search_replays", rows)


def record_gpu_memory() -> None:
    """Predict the memory of `MEMORY_POINTS`, and write it."""
    from tradeoffs.probes import predict_memory

    rows = []
    for model, points in MEMORY_POINTS.items():
        table = predict_memory(model, points).round(3).assign(model=model)
        rows += table.to_dict(orient="records")
    write_rows("gpu_memory", rows)


def record_dead_units() -> None:
    """Count the dead units of the Small Nets by epoch, and write the counts.

    In processes of their own, as it takes PyTorch, and the caller may hold Keras.
    """
    options = {"threads": series.THREADS, "framework": "pytorch"}
    with FreshProcesses(loky.cpu_count(), **options) as processes:
        nets = SMALL_NETS + NETS_OF_THE_TEXT
        asked = zip(*itertools.product(nets, DEAD_AFTER), strict=True)
        write_rows("dead_units", list(processes.map(count_dead_units, *asked)))


def seeds_counted(arguments: dict, epochs: int) -> int:
    """Of how many seeds of a Small Net dead units and accuracies are counted.

    What batch norm adds to the article's count of parameters in the first epoch takes
    many: eighty left it open, and 160.
    """
    return 320 if epochs == 1 and arguments in SMALL_NETS else 20


def count_dead_units(arguments: dict, epochs: int) -> dict:
    """Dead units, and accuracies, of a Small Net's seeds, on all test images.

    The seeds train again, side by side.

    Args:
        arguments: of one of `SMALL_NETS` or `NETS_OF_THE_TEXT`.
        epochs: one of `DEAD_AFTER`.
    """
    from tradeoffs.data import mnist
    from tradeoffs.probes.units import dead_units
    from tradeoffs.training.pytorch import images_to_tensor

    experiments = seeds_of("small_net", seeds_counted(arguments, epochs), **arguments)
    starts = range(0, len(experiments), SIDE_BY_SIDE)
    stacks = [experiments[start : start + SIDE_BY_SIDE] for start in starts]
    made = [one for some in stacks for one in series.train(some, first_epochs=epochs)]
    images = images_to_tensor(mnist().test_images, ARTICLE.input_scaling)
    return {
        "model_arguments": arguments,
        "epochs": epochs,
        "dead": [int(dead_units(network, images).sum()) for network, _ in made],
        "accuracies": [round(run.test_accuracy, 4) for _, run in made],
    }
