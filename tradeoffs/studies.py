"""Where a search is kept: one of Optuna's studies, with errors of one sentence.

A network is added to the study when it is trained, so nothing waits there and
nothing runs. Optuna's own samplers ask in a copy in memory, which is made anew each
time from what is kept.
"""

import contextlib
import os
import re
from pathlib import Path

from tradeoffs.spaces import OBJECTIVES, Plan, as_choice, distributions

IN_MEMORY = "sqlite://"


class SearchError(RuntimeError):
    """A search that cannot go on; the message says why.

    >>> import tradeoffs
    >>> tradeoffs.search({"seed": [0, 1]}, storage="nowhere://")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.studies.SearchError: the storage 'nowhere://' cannot be opened, ...
    """


class Study:
    """The networks of a plan that have been trained, and what comes next.

    Until it is closed no other process can have it.

    Args:
        plan: what is searched.
        storage: see `storage_url`.

    Raises:
        SearchError: it cannot be opened and written, or another process has it.
    """

    def __init__(self, plan: Plan, storage: str | None):
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.plan, self.url = plan, storage_url(storage)
        self._complete = optuna.trial.TrialState.COMPLETE
        with self._errors(), contextlib.ExitStack() as closing:
            self._lock(closing)
            self._study = optuna.create_study(
                study_name=plan.study_name,
                storage=optuna.storages.RDBStorage(
                    self.url, engine_kwargs=_engine_options(self.url)
                ),
                directions=[
                    OBJECTIVES.get(name, ("maximize",))[0]
                    for name in plan.content["objective"]
                ],
                load_if_exists=True,
            )
            self._study.set_user_attr("plan", plan.content)  # or it cannot be written
            self.close = closing.pop_all().close

    def completed(self) -> list:
        """The trials that count, as Optuna's: one for each point of a grid."""
        with self._errors():
            done = self._study.get_trials(deepcopy=False, states=[self._complete])
        # Optuna's dashboard can add some too.
        done = [trial for trial in done if "result" in trial.user_attrs]
        if self.plan.sampler != "grid":
            return done[: self.plan.num_trials]
        first = {trial.user_attrs["point"]: trial for trial in reversed(done)}
        return [first[index] for index in sorted(first)]

    def results(self) -> list[dict]:
        """What is kept of each of these networks."""
        return [trial.user_attrs["result"] for trial in self.completed()]

    def ask(self, count: int) -> list[tuple[dict, dict]]:
        """The next points, each with what `keep` wants: at most so many.

        A grid gives all that are missing at once; another sampler `count` of them.
        """
        import optuna

        done, space = self.completed(), self.plan.space
        if self.plan.sampler == "grid":
            known = {trial.user_attrs["point"] for trial in done}
            return [
                (point, {"params": _choices(point), "user_attrs": {"point": index}})
                for index, point in enumerate(self.plan.points)
                if index not in known
            ]
        count = min(count, self.plan.num_networks - len(done))
        # The same draws again, after a stop, would be the same networks again.
        sampler = _sampler(self.plan, len(done))
        with self._errors():
            directions = self._study.directions
            memory = optuna.create_study(directions=directions, sampler=sampler)
            memory.add_trials(done)
            for _ in range(count):
                memory.ask(distributions(space))
        values = {name: {as_choice(v): v for v in space[name]} for name in space}
        return [
            (
                {name: values[name][choice] for name, choice in trial.params.items()},
                # NSGA-II keeps a trial's generation there.
                {"params": trial.params, "system_attrs": trial.system_attrs},
            )
            for trial in memory.get_trials()[len(done) :]
        ]

    def keep(self, asked: dict, result: dict, values: list[float]) -> None:
        """Keep the result of a network, and its values of the objectives."""
        import optuna

        attributes = asked.get("user_attrs", {}) | {"result": result}
        trial = optuna.trial.create_trial(
            **asked | {"user_attrs": attributes},
            distributions=distributions(self.plan.space),
            values=values,
        )
        with self._errors():
            self._study.add_trial(trial)

    def _lock(self, closing):
        """One search at a time in a sqlite file, for each of its studies."""
        import filelock

        path = self.url.removeprefix("sqlite:///")
        if path == self.url or path.startswith((":", "file:")):  # in memory
            return
        with contextlib.suppress(OSError):  # sqlite says it better, on opening
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        if not Path(path).parent.is_dir():
            return
        lock = filelock.FileLock(f"{path}.{self.plan.study_name}.lock", timeout=0)
        try:
            closing.enter_context(lock)
        except filelock.Timeout:
            said = "another process is at this search: it holds"
            if not Path(lock.lock_file).exists():
                said = "nobody can be kept from this search meanwhile: there can be no"
            raise SearchError(f"{said} {lock.lock_file}") from None
        closing.enter_context(contextlib.suppress(OSError))  # Windows keeps it
        closing.callback(os.unlink, lock.lock_file)

    @contextlib.contextmanager
    def _errors(self):
        """Turn whatever goes wrong with the storage into one sentence."""
        shown = without_password(self.url)
        try:
            yield
        except SearchError:
            raise
        except Exception as error:
            raise SearchError(
                f"the storage {shown!r} cannot be opened, read or written: "
                f"{_cause(error)}. Give a file, or a URL with its driver, such "
                "as postgresql+psycopg://user@server/database. What it holds is kept, "
                "and with that mended the same call goes on"
            ) from error


def _choices(point):
    return {name: as_choice(value) for name, value in point.items()}


def _sampler(plan, num_found):
    from optuna import samplers

    seed = (plan.seed + num_found) % 2**32
    match plan.sampler:
        case "tpe":
            return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        case "nsga2":
            return samplers.NSGAIISampler(seed=seed)
        case _:
            return samplers.RandomSampler(seed=seed)


def storage_url(storage: str | None = None) -> str:
    """Where searches are kept: a URL; a path stands for a sqlite file.

    By default `TRADEOFFS_STORAGE`, or a file in the user's data folder.

    >>> storage_url("postgresql+psycopg://me@server/searches")
    'postgresql+psycopg://me@server/searches'
    """
    import platformdirs

    usual = platformdirs.user_data_path("tradeoffs") / "searches.sqlite3"
    storage = str(storage or os.environ.get("TRADEOFFS_STORAGE") or usual)
    if re.match(r"[A-Za-z][\w+]+:", storage):  # two letters at least: C: is a drive
        return storage
    return f"sqlite:///{Path(storage).expanduser().absolute()}"


def without_password(url: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"^([\w+]+://[^:/]*:)[^@]*@", r"\1***@", url)


def _engine_options(url):
    seconds = {"timeout": 120} if url.startswith("sqlite") else {}
    if re.match(r"postgresql(\+psycopg2?)?:", url):  # other drivers say it otherwise
        seconds = {"connect_timeout": 10}
    # A connection that a server has dropped is opened again before its use.
    return {"pool_pre_ping": True, "connect_args": seconds}


def _cause(error):
    """The first line of what a driver said."""
    error = error.__cause__ or error
    error = getattr(error, "orig", None) or error
    return (str(error).strip(" .\n") or repr(error)).splitlines()[0]
