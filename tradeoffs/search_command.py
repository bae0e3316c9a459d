"""`python -m tradeoffs search`."""

import contextlib
import json
from pathlib import Path

from tradeoffs import fetching, records
from tradeoffs.data import dataset_named
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import FILE, write_table
from tradeoffs.searches import HELD_BACK, search
from tradeoffs.spaces import SMALL_NET_SPACE, Plan
from tradeoffs.studies import storage_url, without_password

DESCRIPTION = """\
Train every network of a space on the training images, 10,000 of them held back
to select on, and write a table of how each one does. The test images play no
part. After a stop or a kill, the same command goes on where it stopped. A
changed space or schedule is a new study, whose name says so.
"""


def run(options) -> int:
    """Search, write the table, and say where it is."""
    arguments = {
        "space": _read_space(options.space) if options.space else SMALL_NET_SPACE,
        "schedule": ARTICLE.first(options.epochs) if options.epochs else ARTICLE,
        "objective": tuple(options.objective.split(",")),
        "model": options.model,
        "dataset": _images(options.dataset),
        "sampler": options.sampler,
        "num_trials": options.trials,
        "num_images": options.images,
        "seed": options.seed,
    }
    plan = Plan(**arguments)
    url = without_password(storage_url(options.storage))
    print(f"study {plan.study_name}: {plan.num_networks} networks, kept in {url}")
    if options.list:
        return 0
    path = Path(options.output or _default_output(plan))
    records.check_writable(path)
    fetching.fetch(options.dataset)
    with _cluster(options.cluster) as executor:
        frame = search(
            executor=executor,
            jobs=options.jobs,
            storage=storage_url(options.storage),  # kept, whatever the data set
            max_networks=options.max_networks,
            **arguments,
        )
    write_table(frame, path)
    best = frame.loc[frame.validation_accuracy.idxmax()]
    print(
        f"{len(frame)} networks in {path}; the best has "
        f"{best.validation_accuracy:.2%} on the validation images, with "
        f"{best.num_parameters:,} parameters"
    )
    return 0


def _images(name):
    """A data set to search on, some training images held back; None for MNIST."""
    if name == "mnist":
        return None
    return dataset_named(name).validation_split(HELD_BACK)


@contextlib.contextmanager
def _cluster(address):
    """An executor of the cluster at an address, or None without one."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise RuntimeError(
            "--cluster needs Dask: pip install 'tradeoffs[cluster]'"
        ) from None
    with Client(address) as client:
        print("dashboard:", client.dashboard_link)
        yield client.get_executor(retries=3)


def _default_output(plan):
    """Where a search's table goes: only the series' own into the repository."""
    if plan.study_name == Plan(SMALL_NET_SPACE).study_name:
        return records.results_folder() / FILE
    return records.results_folder() / "custom-search" / f"{plan.study_name}.csv"


def _read_space(path):
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
