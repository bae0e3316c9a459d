"""The weights of some recorded runs, beside their records; `trained` says of which.

Those of larger models are in float16, with as few bits as leave what they predict.
"""

import importlib
import lzma
from pathlib import Path

import numpy as np

from tradeoffs import records
from tradeoffs.checks import instance
from tradeoffs.data import mnist
from tradeoffs.experiments import Experiment, Run
from tradeoffs.models import MODELS, build
from tradeoffs.schedules import ARTICLE

SEEDS_KEPT = 5  # of each Small Net
KEPT_SEED = 5  # of the further run of a larger model
# For numbers of two bytes: a seventh smaller, at most, than as by default.
COMPRESSION = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 1, "pb": 1}]
# The further runs. Where one is in no series, it counts in no mean.
KEPT = tuple(
    Experiment(model, "pytorch", ARTICLE, KEPT_SEED)
    for model in MODELS
    if model != "small_net"
)


def _weights_path(experiment, folder):
    """Where the weights of an experiment are, or None where they are not kept."""
    path = (folder or records.results_folder()) / experiment.path
    if experiment in KEPT:
        return path.with_suffix(".safetensors.xz")
    first = experiment.model == "small_net" and experiment.seed < SEEDS_KEPT
    first = first and experiment.schedule == ARTICLE
    if experiment.dataset == "mnist" and (first or experiment.tested_once):
        return path.with_suffix(".safetensors")
    return None


def save_weights(run: Run, network, folder: Path | None = None) -> None:
    """Write the weights beside the record of a run that keeps them.

    Raises:
        RecordError: float16 would change what the network predicts.
    """
    from safetensors import torch

    path = _weights_path(run.experiment, folder)
    if path is None:
        return
    if path.suffix == ".xz":
        content = lzma.compress(torch.save(_rounded(run, network)), filters=COMPRESSION)
    else:
        state = network.state_dict().items()
        content = torch.save({name: t.contiguous() for name, t in state})
    records.write(path, content)


def _rounded(run, network):
    """The weights in float16, with as many of its ten bits as are needed."""
    from tradeoffs.training.pytorch import Trainer

    trainer = Trainer(network, mnist(), run.experiment.schedule, run.experiment.seed)
    state = network.state_dict().items()
    halves = {name: t.clone().half().contiguous() for name, t in state}
    for spare in (6, 5, 4, 3, 2, 1, 0):
        found = {name: _shortened(half, spare) for name, half in halves.items()}
        network.load_state_dict(found)
        if np.array_equal(trainer.evaluate()[1], run.test_predictions):
            return found
    raise records.RecordError(
        f"float16 changes what {run!r} predicts; its weights are not kept"
    )


def _shortened(half, spare):
    """A tensor in float16, rounded so that the last bits of the fraction are 0."""
    import torch

    bits = half.numpy().view(np.uint16).astype(np.uint32)
    rounded = (bits + (1 << spare >> 1)) >> spare << spare
    return torch.tensor(rounded.astype(np.uint16).view(np.float16))


def trained(run: Run, folder: Path | None = None, *, framework: str = "pytorch"):
    """The network of a recorded run with the weights that it ended with.

    Args:
        run: on MNIST, of the first `SEEDS_KEPT` seeds of a Small Net; of a row of the
            search for smaller networks, its norms folded; or of seed `KEPT_SEED` of a
            model of `MODELS` as published, under the article's schedule, whose weights
            are rounded without a change in what it predicts.
        folder: of the results.
        framework: "keras" for a model that is written in both: the weights of its
            port, in Keras.

    Returns:
        An `nn.Module` in evaluation mode, or a `keras.Model`.

    Raises:
        TypeError: it is no `Run`.
        ValueError: weights of such a run are not kept, or no such model in Keras.
        FileNotFoundError: there is no file.
        RecordError: the file is cut short, or does not fit the network.

    >>> import tradeoffs
    >>> network = tradeoffs.trained(tradeoffs.run("small_net"))
    >>> tradeoffs.as_recorded(network, "small_net"), network.training
    (True, False)
    """
    instance("run", run, Run, "tradeoffs.run('gap_cnn', seed=5)")
    experiment, path = run.experiment, _weights_path(run.experiment, folder)
    if path is None:
        raise ValueError(
            f"the weights of {run!r} are not kept; they are for the first {SEEDS_KEPT} "
            "seeds of each Small Net on MNIST, for the rows of the search for smaller "
            f"networks, and for seed {KEPT_SEED} of each other model under the "
            "article's schedule"
        )
    network = build(experiment.model, framework, **experiment.model_arguments)
    if experiment.tested_once:
        from tradeoffs.models.tiny import fold_norms

        network = fold_norms(network)
    from safetensors import SafetensorError, numpy

    content = path.read_bytes()
    try:
        if path.suffix == ".xz":
            content = lzma.decompress(content)
        page = importlib.import_module(f"tradeoffs.models.{framework}")
        return page.with_weights(network, numpy.load(content))
    except (SafetensorError, lzma.LZMAError, RuntimeError, ValueError) as error:
        raise records.RecordError(
            f"{path} does not hold the weights of its network ({error}). {records.MEND}"
        ) from error
