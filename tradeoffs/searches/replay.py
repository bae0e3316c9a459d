"""What other ways of searching would have found, from a searched grid.

The networks of a grid are all trained, so a sampler's choice among them need
not be trained again: its result is looked up. That is fair as long as every
sampler chooses from the same grid and is charged for every network that it has
not seen before; a network that it asks for twice costs nothing the second time.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from tradeoffs.searches.space import label

SAMPLERS = ("grid", "tpe", "nsga2")


def replay(table, sampler: str, num_networks: int, seed: int, max_parameters: int):
    """The best network found so far, by the number of networks trained.

    Args:
        table: of a whole grid, as from `tradeoffs.read_table`.
        sampler: "grid" (at random, each once), or Optuna's "tpe" or "nsga2", both
            with two objectives: accuracy up, parameters down.
        num_networks: how many it may train.
        seed: of the sampler.
        max_parameters: what a network may have to be counted.

    Returns:
        Best validation accuracy after 1, 2, ... networks, [num_networks]; NaN
        while none is small enough.

    Raises:
        ValueError: an unknown sampler, a table that is not of a whole grid, or
            more networks than it has.
    """
    if sampler not in SAMPLERS:
        raise ValueError(
            f"sampler is {sampler!r}; it must be one of {', '.join(SAMPLERS)}"
        )
    space = table.attrs["plan"]["space"]
    sizes = [len(values) for values in space.values()]
    if len(table) != np.prod(sizes) or table.attrs["plan"]["sampler"] != "grid":
        raise ValueError(f"{len(table)} networks are not the grid of {np.prod(sizes)}")
    if not 1 <= num_networks <= len(table):
        raise ValueError(
            f"num_networks is {num_networks}; it must be from 1 to {len(table)}"
        )
    accuracies = table.validation_accuracy.to_numpy()
    counted = np.where(table.num_parameters <= max_parameters, accuracies, np.nan)
    if sampler == "grid":
        order = np.random.default_rng(seed).permutation(len(table))[:num_networks]
    else:
        order = _asked(table, space, sampler, num_networks, seed)
    found = np.fmax.accumulate(counted[order])
    # A sampler that asks for nothing new any more finds nothing better.
    return np.pad(found, (0, num_networks - len(found)), mode="edge")


def _asked(table, space, sampler, num_networks, seed):
    """The rows that one of Optuna's samplers asks for, each once."""
    import optuna

    samplers = {
        "tpe": optuna.samplers.TPESampler,
        "nsga2": optuna.samplers.NSGAIISampler,
    }
    choices = {
        name: {label(value): place for place, value in enumerate(values)}
        for name, values in space.items()
    }
    distributions = {
        name: optuna.distributions.CategoricalDistribution(list(places))
        for name, places in choices.items()
    }
    sizes = [len(places) for places in choices.values()]
    results = table[["validation_accuracy", "num_parameters"]].to_numpy()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=samplers[sampler](seed=seed)
        )
        asked = {}
        for _ in itertools.repeat(None, 20 * num_networks):
            trial = study.ask(distributions)
            places = [choices[name][value] for name, value in trial.params.items()]
            row = int(np.ravel_multi_index(places, sizes))
            study.tell(trial, results[row].tolist())
            asked[row] = None
            if len(asked) == num_networks:
                break
    return list(asked)
