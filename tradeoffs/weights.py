"""The trained weights of recorded runs, where they are small enough to keep.

They lie beside the record, as a safetensors file of the same name.
"""

from __future__ import annotations

from pathlib import Path

from tradeoffs import records
from tradeoffs.frameworks import import_torch
from tradeoffs.models import build
from tradeoffs.records import MEND, RecordError, Run

MOST_PARAMETERS = 1_000  # of a network whose weights are kept: 4 KB a file


def are_kept(run: Run) -> bool:
    """Whether a run's weights belong into the results folder."""
    in_pytorch = run.experiment.framework == "pytorch"
    return in_pytorch and run.num_parameters <= MOST_PARAMETERS


def path_of(run: Run, folder: Path | None = None) -> Path:
    """Where the weights of a run are."""
    path = (folder or records.results_folder()) / run.experiment.path
    return path.with_suffix(".safetensors")


def save(run: Run, network, folder: Path | None = None) -> Path:
    """Write a network's weights, whole or not at all, and return the path."""
    from safetensors import torch

    path = path_of(run, folder)
    state = {name: t.contiguous() for name, t in network.state_dict().items()}
    records.write(path, torch.save(state))
    return path


def trained(run: Run, folder: Path | None = None):
    """The network of a recorded run with the weights that it ended with.

    Args:
        run: of a PyTorch network with at most `MOST_PARAMETERS`.
        folder: of the results.

    Returns:
        An `nn.Module` in evaluation mode.

    Raises:
        ValueError: weights of such a run are not kept.
        FileNotFoundError: there is no file.
        RecordError: the file is cut short, or does not fit the network.
    """
    if not are_kept(run):
        raise ValueError(
            f"the weights of {run!r} are not kept; they are for PyTorch networks of "
            f"at most {MOST_PARAMETERS:,} parameters"
        )
    import_torch()
    from safetensors import SafetensorError, torch

    experiment = run.experiment
    path = path_of(run, folder)
    network = build(experiment.model, "pytorch", **experiment.model_arguments)
    content = path.read_bytes()
    try:
        network.load_state_dict(torch.load(content))
    except (SafetensorError, RuntimeError) as error:
        raise RecordError(
            f"{path} does not hold the weights of its network ({error}). {MEND}"
        ) from error
    return network.eval()
