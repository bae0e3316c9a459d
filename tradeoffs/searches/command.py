"""`python -m tradeoffs search`."""

from __future__ import annotations

import json
from pathlib import Path

from tradeoffs import data, records
from tradeoffs.schedules import ARTICLE
from tradeoffs.searches import Plan, search
from tradeoffs.searches.space import OBJECTIVES, SAMPLERS, SMALL_NET_SPACE
from tradeoffs.searches.storage import storage_url, without_password
from tradeoffs.searches.table import FILE, write_table

DESCRIPTION = """\
Train every network of a space on the training images, 10,000 of them held back
to select on, and write a table of how each one does. The test images play no
part. After a stop or a kill, the same command goes on where it stopped.

Several machines may work on one search: give each the same command with the
same --storage, a data base that all of them reach, such as
postgresql+psycopg://user@server/database (pip install 'psycopg[binary]').
A changed space or schedule is a new study, whose name says so.
"""


def add_arguments(parser, at_least_one) -> None:
    """Give a parser the options of this command."""
    parser.add_argument(
        "--space",
        metavar="FILE.json",
        help="names to lists of values (default: the 304 networks of "
        "tradeoffs.SMALL_NET_SPACE)",
    )
    parser.add_argument(
        "--model",
        default="small_net",
        metavar="NAME",
        help="whose arguments the space names (default: %(default)s)",
    )
    parser.add_argument(
        "--storage",
        metavar="FILE|URL",
        help="a sqlite file, or any URL that Optuna takes (default: "
        "TRADEOFFS_STORAGE, or a file in the user's data folder)",
    )
    parser.add_argument(
        "--jobs",
        type=at_least_one,
        default=1,
        metavar="N",
        help="processes on this machine, a thread each (default: 1)",
    )
    parser.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="grid",
        help="the whole grid, or one of Optuna's (default: %(default)s)",
    )
    parser.add_argument(
        "--trials",
        type=at_least_one,
        metavar="N",
        help="networks to train, with a sampler other than grid",
    )
    parser.add_argument(
        "--objective",
        default="accuracy",
        metavar="NAME[,NAME]",
        help=f"{', '.join(OBJECTIVES)}, or several of them (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=at_least_one,
        metavar="N",
        help="only the first N epochs of the article's schedule",
    )
    parser.add_argument(
        "--images",
        type=at_least_one,
        metavar="N",
        help="only the first N training images, for a quick look",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--max-networks",
        type=at_least_one,
        default=32,
        metavar="N",
        help="the most that one process trains side by side (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        metavar="FILE.csv",
        help=f"the table (default: results/{FILE} for the default search in full, "
        "otherwise results/custom-search/<study>.csv)",
    )
    parser.add_argument(
        "--list", action="store_true", help="say what would be done, and stop"
    )
    parser.set_defaults(command=run)


def run(options) -> int:
    """Search, write the table, and say where it is."""
    arguments = {
        "space": read_space(options.space) if options.space else SMALL_NET_SPACE,
        "schedule": ARTICLE.first(options.epochs) if options.epochs else ARTICLE,
        "model": options.model,
        "sampler": options.sampler,
        "num_trials": options.trials,
        "num_images": options.images,
        "seed": options.seed,
    }
    objective = tuple(options.objective.split(","))
    plan = Plan(objective=objective, **arguments)
    url = without_password(storage_url(options.storage))
    print(f"study {plan.study_name}: {plan.num_networks} networks, kept in {url}")
    if options.list:
        return 0
    data.fetch()
    frame = search(
        objective=objective,
        storage=options.storage,
        jobs=options.jobs,
        max_networks=options.max_networks,
        **arguments,
    )
    path = write_table(frame, Path(options.output or default_output(plan)))
    best = frame.loc[frame.validation_accuracy.idxmax()]
    print(
        f"{len(frame)} networks in {path}; the best has "
        f"{best.validation_accuracy:.2%} on the validation images, with "
        f"{best.num_parameters:,} parameters"
    )
    return 0


def default_output(plan: Plan) -> Path:
    """Where a search's table goes: only the series' own into the repository."""
    if plan == Plan(space=SMALL_NET_SPACE):
        return records.results_folder() / FILE
    return records.results_folder() / "custom-search" / f"{plan.study_name}.csv"


def read_space(path: str) -> dict:
    """The space in a JSON file.

    Raises:
        ValueError: the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
