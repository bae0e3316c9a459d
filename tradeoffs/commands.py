"""The commands that train: `python -m tradeoffs reproduce`, `search` and `smaller`.

What `--help` says of them is their docstrings.
"""

import contextlib
import json
from pathlib import Path

from tradeoffs import fetching, held_back, recorded, records, series, smaller
from tradeoffs.data import check_name, dataset_named
from tradeoffs.schedules import ARTICLE
from tradeoffs.search_table import FILE, write_table
from tradeoffs.searches import search
from tradeoffs.spaces import HELD_BACK, SMALL_NET_SPACE, Plan
from tradeoffs.studies import storage_url, without_password


def run_reproduce(options) -> None:
    """Train what has no record yet, and record each run as it ends.

    After a stop or a kill, a second call goes on where it stopped.
    """
    from filelock import FileLock, Timeout

    wanted = [
        experiment
        for experiment in recorded.recorded_experiments(options.seeds)
        if (not options.only or experiment.model in options.only)
        and options.dataset in (None, check_name(experiment.dataset)[0])
    ]
    todo = wanted if options.fresh else series.missing(wanted)
    print(f"{len(wanted)} runs wanted, {len(todo)} to train")
    for experiment in todo:
        print(f"  {experiment.path}: {_expected_time(experiment)}")
    if options.list or not todo:
        return
    for name in {check_name(experiment.dataset)[0] for experiment in todo}:
        fetching.fetch(name)
    lock = records.results_folder() / ".reproduce.lock"
    records.check_writable(lock)
    try:
        with FileLock(lock, timeout=0):
            series.reproduce(todo, jobs=options.jobs)
    except Timeout:
        raise RuntimeError(f"another process is reproducing: {lock} is held") from None


def _expected_time(experiment):
    """How long a training takes, going by a record of the same series."""
    for other in recorded.same_series(experiment):
        with contextlib.suppress(records.RecordError):
            if known := records.load(other):
                minutes = max(known.history.train_seconds.sum() / 60, 1)
                return f"about {minutes:.0f} min, as seed {other.seed} took"
    return "time not known yet"


def run_search(options) -> None:
    """Train every network of a space, and write a table of how each one does.

    10,000 of the training images are held back to select on; the test images play no
    part. After a stop or a kill, the same command goes on where it stopped. A
    changed space or schedule is a new study, whose name says so.
    """
    dataset = None  # MNIST, of which the search holds some training images back
    if options.dataset != "mnist":
        dataset = dataset_named(options.dataset).validation_split(HELD_BACK)
    arguments = {
        "space": _read_space(options.space) if options.space else SMALL_NET_SPACE,
        "schedule": ARTICLE.first(options.epochs) if options.epochs else ARTICLE,
        "objective": tuple(options.objective.split(",")),
        "model": options.model,
        "dataset": dataset,
        "sampler": options.sampler,
        "num_trials": options.trials,
        "num_images": options.images,
        "seed": options.seed,
    }
    plan = Plan(**arguments)
    url = without_password(storage_url(options.storage))
    print(f"study {plan.study_name}: {plan.num_networks} networks, kept in {url}")
    if options.list:
        return
    path = Path(options.output or _default_output(plan))
    records.check_writable(path)
    fetching.fetch(options.dataset)
    address = options.cluster
    with _cluster(address) if address else contextlib.nullcontext() as executor:
        frame = search(
            executor=executor,
            jobs=options.jobs,
            storage=storage_url(options.storage),  # kept, whatever the data set
            max_networks=options.max_networks,
            **arguments,
        )
    write_table(frame, path)
    if frame.diverged.all():
        print(f"{len(frame)} networks in {path}; all diverged")
        return
    best = frame.loc[frame.validation_accuracy.idxmax()]
    print(
        f"{len(frame)} networks in {path}; the best has "
        f"{best.validation_accuracy:.2%} on the validation images, with "
        f"{best.num_parameters:,} parameters"
    )


@contextlib.contextmanager
def _cluster(address):
    """An executor of the cluster at an address."""
    try:
        from distributed import Client
    except ImportError:
        raise RuntimeError(
            "--cluster needs Dask: pip install '.[cluster]' in a checkout"
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


def run_smaller(options) -> None:
    """Without an option, list the networks of few parameters, and what they score.

    They were chosen with at most so many parameters, and docs/protocol.md says how. The
    test images are read once for each of them.
    """
    if options.test:
        fetching.fetch()
        smaller.read_test_images(options.test, jobs=options.jobs)
    if options.ablate:
        fetching.fetch()
        try:
            held_back.record_ablation(jobs=options.jobs)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("the recorded table is as it was") from None
        print(held_back.table("ablation")[["tried", "mean", "std"]].round(4))
        return
    print(smaller.row_table().to_string(index=False))
