"""`python -m tradeoffs reproduce`."""

from tradeoffs import fetching, recorded, records, series
from tradeoffs.data import check_name


def run(options) -> None:
    """Train what is missing of what is asked for, or say what that is."""
    from filelock import FileLock, Timeout

    wanted = [
        experiment
        for experiment in recorded.recorded_experiments()
        if (not options.only or experiment.model in options.only)
        and options.dataset in (None, check_name(experiment.dataset)[0])
        and (options.seeds is None or _place(experiment) < options.seeds)
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
        if known := records.load(other):
            seconds = known.history.train_seconds.sum()
            return f"about {max(seconds / 60, 1):.0f} min, as seed {other.seed} took"
    return "time not known yet"


def _place(experiment):
    """Of its seed among those of its series."""
    first = recorded.FIRST_SEED_OF_ROWS if experiment.tested_once else 0
    return experiment.seed - first
