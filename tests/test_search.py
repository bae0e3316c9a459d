"""Searching on real images: few of them, and kept in a sqlite file."""

import contextlib
import functools
import json
import os
import runpy
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import optuna
import psutil
import pytest
import torch
from torch import nn

import tradeoffs
from tradeoffs import ARTICLE, SearchError
from tradeoffs.__main__ import main
from tradeoffs.processes import FreshProcesses
from tradeoffs.search_table import read_table
from tradeoffs.sources import name_of
from tradeoffs.spaces import Plan
from tradeoffs.studies import storage_url

SCHEDULE = ARTICLE.first(1)
SPACE = {"filters": [(2, 3), (3, 4)], "pool": [4], "slope": [0.0, 0.1]}
STATES = optuna.trial.TrialState
SIX_NETWORKS = {"kernel_size": [3, 5, 7], "slope": [0.0, 0.1]}


@pytest.fixture
def storage(tmp_path):
    return str(tmp_path / "searches.sqlite3")


@pytest.fixture(scope="module")
def images(mnist):
    return mnist.head(320, 100)


@pytest.fixture
def search(storage, images):
    """A search in this process, which has imported what it takes."""

    def run(space=SPACE, objective="accuracy", schedule=SCHEDULE, **options):
        options = {"dataset": images, "storage": storage} | options
        if "jobs" in options:
            return tradeoffs.search(space, objective, schedule, **options)
        with ThreadPoolExecutor(1) as here:
            options = {"executor": here} | options
            return tradeoffs.search(space, objective, schedule, **options)

    return run


def trials_in(storage):
    url = storage_url(storage)
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url).trials


def check_every_point_once(storage, count):
    trials = trials_in(storage)
    assert {t.state for t in trials} == {STATES.COMPLETE}
    points = Counter(t.user_attrs["point"] for t in trials)
    assert points == dict.fromkeys(range(count), 1)


def test_grid_is_searched_and_kept(search, storage, images):
    frame = search()
    assert frame.num_parameters.tolist() == [121, 121, 198, 198]
    assert frame.filters.tolist() == [(2, 3), (2, 3), (3, 4), (3, 4)]
    assert frame.side_by_side.tolist() == [4, 4, 4, 4]
    assert search().equals(frame)
    check_every_point_once(storage, 4)
    model = tradeoffs.build("small_net", seed=0, filters=(3, 4), pool=4, slope=0.1)
    alone = tradeoffs.fit(model, images, SCHEDULE, 0, progress=False)
    assert frame.validation_loss[3] == pytest.approx(alone.test_loss, abs=1e-3)


def test_seeds_and_learning_rates_may_be_searched(search):
    space = {"filters": [(np.int64(2), 3)], "seed": [*np.arange(2)]}
    frame = search(space | {"learning_rate": [1e-2, np.float64(1e-3)]})
    assert frame.seed.tolist() == [0, 0, 1, 1]
    assert frame.learning_rate.tolist() == [1e-2, 1e-3] * 2
    assert frame.validation_loss.nunique() == 4


def test_failed_network_is_tried_again_and_counts_once(search, storage):
    failures = []

    def accuracy(run):
        if len(failures) < 2:
            failures.append(run)
            raise OSError("no such luck")
        return run.test_accuracy

    assert len(search(objective=accuracy)) == 4
    check_every_point_once(storage, 4)


@pytest.mark.parametrize(
    "options", [{}, {"sampler": "tpe", "num_trials": 3}], ids=["grid", "tpe"]
)
def test_network_that_always_fails_ends_the_search_and_is_named(
    search, storage, options
):
    def accuracy(run):
        if run.num_parameters == 198:
            raise OSError("no such luck")
        return run.test_accuracy

    said = r"network {'filters': \(3, 4\).*failed 3 times: OSError: no such luck"
    with pytest.raises(SearchError, match=said):
        search(objective=accuracy, **options)
    assert all(t.state == STATES.COMPLETE for t in trials_in(storage))


def test_network_that_diverges_is_a_result(search):
    frame = search({"learning_rate": [5e-3, 1e9], "batch_norm": [False]})
    assert frame.diverged.tolist() == [False, True]
    assert frame.validation_accuracy[1] == 0
    assert frame.validation_loss.isna().tolist() == [False, True]


def test_changed_plan_is_a_study_of_another_name():
    plan, images = Plan(space=SPACE), np.zeros((4, 8, 8), np.uint8)
    own = [images, np.arange(4), images, np.arange(4)]
    wide = [images.reshape(4, 4, 16), np.arange(4)] * 2
    changed = [
        Plan(space=SPACE, dataset=tradeoffs.Dataset("own", *own)),
        Plan(space=SPACE, dataset=tradeoffs.Dataset("own", *wide)),
        Plan(space=SPACE, dataset=tradeoffs.Dataset("own", *own, pixels=(0.5, 0.1))),
        Plan(space=SPACE | {"slope": [0.0, 0.2]}),
        Plan(space=SPACE, schedule=SCHEDULE),
        Plan(space=SPACE, seed=1),
        Plan(space=SPACE, num_images=100),
        Plan(space=SPACE, sampler="tpe", num_trials=4),
    ]
    names = {plan.study_name, *(other.study_name for other in changed)}
    assert len(names) == 1 + len(changed)
    assert plan.study_name.startswith("small_net-article-grid-4-")


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_other_samplers_weigh_accuracy_against_parameters(search, storage, sampler):
    objective = ("accuracy", "parameters")
    options = {"sampler": sampler, "num_trials": 5, "max_networks": 2}
    frame = search(objective=objective, **options)
    trials = sorted(trials_in(storage), key=lambda t: t.number)
    # Of the first two nothing was known when NSGA-II asked for them.
    generations = [[*trial.system_attrs.values()] for trial in trials]
    assert sampler != "nsga2" or generations == [[0]] * 5
    for trial, row in zip(trials, frame.itertuples(), strict=True):
        assert trial.values == [row.validation_accuracy, row.num_parameters]
    assert len(search(objective=objective, **options)) == 5
    assert len(trials_in(storage)) == 5


def test_what_a_stopped_sampler_has_asked_for_is_asked_for_again(search, storage):
    options = {"sampler": "random", "num_trials": 2}
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        closed = ThreadPoolExecutor(1)
        closed.shutdown()
        search(executor=closed, **options)
    assert not trials_in(storage)
    assert len(search(**options)) == 2
    assert [trial.state for trial in trials_in(storage)] == [STATES.COMPLETE] * 2


def tiny(width):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10)
    )


def test_a_model_of_the_readers_own(search):
    frame = search({"width": [2, 3, 4]}, model=tiny)
    assert frame.num_parameters.tolist() == [1600, 2395, 3190]
    assert frame.side_by_side.tolist() == [1, 2, 2]  # 3 and 4: the same power of 2


def test_what_a_reader_has_edited_is_never_answered_by_its_name(search, storage):
    source, found = tiny, []
    for inner in (4, 5):

        class Width:
            def __init__(self, kept=0):
                self.kept = kept

            def of(self):
                return inner  # noqa: B023  called before it changes

        kept = Width(inner)

        def by_value(slope):
            return source(inner)  # noqa: B023

        def by_class(slope):
            return source(Width().of())

        def by_default(slope, width=inner):
            return source(width)

        def by_instance(slope):
            return source(kept.kept)  # noqa: B023

        @functools.cache
        def cached():
            return Width().of()

        methods = [kept.of]

        def by_method(slope):
            return source(methods[0]())  # noqa: B023

        def by_cached(slope):
            return source(cached())

        functions = {"some": [functools.partial(source, inner)]}

        def by_mapping(slope):
            assert torch and Path  # a module and a class
            return functions["some"][0]()  # noqa: B023

        models = by_value, by_class, by_default, by_instance
        for model in (*models, by_mapping, by_method, by_cached):
            found += search({"slope": [0.0]}, model=model).num_parameters.tolist()
    assert found == 7 * [3190] + 7 * [3985]
    assert len(optuna.get_all_study_names(storage_url(storage))) == 14


@pytest.mark.parametrize(
    ("page", "edited"),
    [
        (
            "class Base: width = 16\nclass Net(Base): pass\ndef model(): return Net",
            "16",
        ),
        (
            "import functools\ndef scaled(by):\n def wrap(f):\n"
            "  @functools.wraps(f)\n  def made(): return f() * by\n"
            "  return made\n return wrap\n"
            "W = 16\n@scaled(W)\ndef width(): return 1\ndef model(): return width()",
            "16",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass Width:\n"
            " width: int = 16\ndef model(): return Width()",
            "16",
        ),
        ("class D(dict): __getattr__ = dict.get\nC = D(w=16)\ndef model(): C.w", "16"),
        ("a = [1]; b = [2]; c = a\ndef model(): return a, b, c", "c = a"),
        (
            "w = 0\ndef made(w):\n def of(): return (lambda o: o.w)(w)\n return of\n"
            "model = made(16)",
            "16",
        ),
    ],
    ids=["base class", "decorator", "dataclass", "mapping", "alias", "hidden name"],
)
def test_what_a_function_uses_is_part_of_its_name(tmp_path, page, edited):
    names = []
    other = {"16": "32", "c = a": "c = b"}[edited]
    for number, text in enumerate((page, page.replace(edited, other))):
        file = tmp_path / f"{number}.py"
        file.write_text(text + "\n")
        names.append(name_of(runpy.run_path(str(file), run_name="mine")["model"]))
    assert names[0] != names[1]


def test_a_function_has_one_name_in_all_processes(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy\nfrom numpy import float32, mean\n"
        "from tradeoffs.sources import name_of\n"
        "def small(): return 1\n"
        "KINDS, GOOD, LOOP = {'small': small}, {'relu', 'silu', 'gelu'}, []\n"
        "LOOP.append(LOOP)\n"
        "def mine(): return KINDS, GOOD, LOOP, numpy, float32, mean\n"
        "print(name_of(mine))\n"
    )
    command = [sys.executable, tmp_path / "mine.py"]
    names = {
        subprocess.check_output(command, env=os.environ | {"PYTHONHASHSEED": seed})
        for seed in ("1", "2", "3")
    }
    assert len(names) == 1


def test_a_large_array_that_has_changed_in_the_middle_is_another(search):
    found = []
    for width in (2, 3):
        widths = np.zeros(5_000, int)  # printed, its middle is left out
        widths[2_500] = width
        parts = torch.from_numpy(widths.copy()).float().requires_grad_()

        def by_array(slope):
            return tiny(int(widths[2_500]))  # noqa: B023

        def by_tensor(slope):
            return tiny(int(parts[2_500]))  # noqa: B023

        for model in (by_array, by_tensor):
            found += search({"slope": [0.0]}, model=model).num_parameters.tolist()
    assert found == [1600, 1600, 2395, 2395]


def test_own_images_are_kept_only_where_asked_to(search, monkeypatch, tmp_path, mnist):
    monkeypatch.setenv("TRADEOFFS_STORAGE", str(tmp_path / "default.sqlite3"))
    one = {"filters": [(2, 3)]}
    frames = [
        search(one, dataset=mnist.head(*size), storage=None, num_images=count)
        for size, count in [((320, 100), None), ((480, 100), 320), ((480, 100), None)]
    ]
    losses = [frame.validation_loss[0] for frame in frames]
    assert losses[0] == losses[1] != losses[2]
    assert not (tmp_path / "default.sqlite3").exists()


def die(whom):
    os.kill({"fork": os.getpid, "its parent": os.getppid}[whom](), signal.SIGKILL)
    time.sleep(60)


@pytest.mark.parametrize("whom", ["fork", "its parent"])
def test_killed_worker_has_its_stack_trained_again(storage, search, whom):
    attempts = []

    class KillingOnce(FreshProcesses):
        def submit(self, function, /, *arguments):
            attempts.append(arguments)
            if len(attempts) == 1:
                return super().submit(die, whom)
            return super().submit(function, *arguments)

    with KillingOnce(threads=1, framework="pytorch") as executor:
        frame = search(executor=executor)
    assert len(attempts) == 2
    assert len(frame) == 4
    check_every_point_once(storage, 4)


def test_killed_driver_loses_what_was_training_at_most(storage):
    options = {"num_images": 4000, "storage": storage}
    call = f"tradeoffs.search({SIX_NETWORKS}, schedule=ARTICLE.first(1), **{options})"
    text = f"import tradeoffs; from tradeoffs import ARTICLE; {call}"
    driver = subprocess.Popen([sys.executable, "-c", text])
    done = []
    while len(done) < 2:
        assert driver.poll() is None
        time.sleep(0.2)
        # By SQL, for Optuna would make what is not there yet, and race its maker.
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(sqlite3.connect(storage)) as base,
        ):
            done = base.execute("SELECT * FROM trials").fetchall()
    driver.kill()
    driver.wait()
    assert len(done) < 6
    tradeoffs.search(SIX_NETWORKS, schedule=ARTICLE.first(1), **options)
    check_every_point_once(storage, 6)
    assert [path.name for path in Path(storage).parent.iterdir()] == [
        Path(storage).name
    ]


def test_dask_gives_a_killed_workers_networks_to_another(storage, search):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor(retries=3)
        pids = client.run(os.getpid)

        def kill_one():
            while not any(client.processing().values()):
                time.sleep(0.05)
            (busy, *_) = (name for name, keys in client.processing().items() if keys)
            os.kill(pids[busy], signal.SIGKILL)

        with ThreadPoolExecutor(1) as killer:
            killing = killer.submit(kill_one)
            frame = search(executor=executor, max_networks=1)
            killing.result()
    assert len(frame) == 4
    check_every_point_once(storage, 4)


@pytest.fixture
def small_space(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"filters": [[2, 3]], "pool": [3, 4]}))
    return "--space", str(path)


def test_command_searches_in_processes_and_writes_the_table(
    storage, small_space, results, capsys
):
    options = "--storage", storage, "--jobs", "2", "--epochs", "1", "--images", "300"
    assert main(["search", *small_space, *options]) == 0
    shown = capsys.readouterr().out
    (path,) = results.rglob("*.csv")
    assert str(path) in shown
    frame = read_table(path)
    assert frame.pool.tolist() == [3, 4]
    assert frame.attrs["study"] in shown
    assert frame.attrs["environments"][0]["threads"] == 1


def test_stopped_command_says_what_is_kept(
    storage, small_space, tmp_path, start_command
):
    files = "--storage", storage, "--output", str(tmp_path / "table.csv")
    process = start_command("search", *small_space, *files, stderr=subprocess.PIPE)
    while not psutil.Process(process.pid).children():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what has finished is kept" in errors
    assert "Traceback" not in shown + errors


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"space": [1, 2]}, "a space is a list; give a mapping"),
        ({"space": {}}, "the space is empty"),
        ({"space": {"pool": []}}, "the grid is empty: 'pool' has no values"),
        ({"space": {"pool": 2}}, "the values of 'pool' are 2; give a list"),
        ({"space": {"filters": [(5, 8), [5, 8]]}}, "[5, 8] is twice"),
        ({"space": {"pool": [2], "pooling": [{"pool": 3}]}}, "'pool' is set twice"),
        ({"space": {"a": [{"pool": 2}], "b": [{"pool": 3}]}}, "'pool' is set twice"),
        ({"space": {"slope": [float("nan")]}}, "is not a finite number"),
        (
            {"space": {"pool": [2, 9]}},
            "pool is 9; it must be one of None, 2, 3, 4, 5, 6",
        ),
        ({"space": {"learning_rate": [0]}}, "learning_rate is 0"),
        ({"space": {"seed": [1.5]}}, "seed is 1.5; it must be a whole number"),
        ({"objective": "speed"}, "must be one of accuracy, loss, parameters"),
        ({"schedule": "article"}, "give a Schedule"),
        ({"sampler": "gird"}, "sampler is 'gird'"),
        ({"sampler": "tpe"}, "say how many networks"),
        ({"num_trials": 3}, "a grid has an end"),
        ({"jobs": 0}, "jobs is 0"),
        ({"num_images": -1}, "num_images is -1"),
        ({"num_images": 321}, "num_images is 321; it must be from 1 to 320"),
        ({"seed": None}, "seed is None"),
        ({"executor": "dask"}, "executor is a str"),
        ({"dataset": "mnist"}, "dataset is a str"),
        ({"model": eval("lambda slope: None")}, "has no source text"),
        ({"model": lambda **_: b"\xff".decode()}, "in the network {'filters': (2, 3)"),
    ],
)
def test_wrong_value_is_named_before_anything_is_made(search, storage, options, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        search(**options)
    assert said in str(caught.value)
    assert not Path(storage).exists()


def damaged(tmp_path):
    path = tmp_path / "damaged.sqlite3"
    path.write_bytes(b"SQLite format 3\0" + b"not really" * 500)
    return str(path)


def read_only(tmp_path):
    path = tmp_path / "read-only.sqlite3"
    path.touch()
    return f"sqlite:///file:{path}?mode=ro&uri=true"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (damaged, "cannot be opened, read or written"),
        (read_only, "attempt to write a readonly database"),
        (lambda _: "sqlite:////proc/none/searches", "unable to open database file"),
        (lambda _: "oracle://me:secret@server/x", "a URL with its driver"),
        (lambda _: "oracle:x", "the storage 'oracle:x' cannot be opened"),
        (lambda _: "oracle://me:secret@server:port/x", "'oracle://me:***@server:port/"),
    ],
)
def test_storage_that_fails_is_one_clear_sentence(search, tmp_path, make, said):
    with pytest.raises(SearchError) as caught:
        search(storage=make(tmp_path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_storage_that_is_lost_in_the_middle_is_one_clear_sentence(search, storage):
    def accuracy(run):
        Path(storage).write_bytes(b"not a data base any more" * 1000)
        return run.test_accuracy

    with pytest.raises(SearchError, match=r"the storage 'sqlite.*cannot be opened"):
        search(objective=accuracy)


def test_trials_that_something_else_has_added_do_not_count(search, storage):
    frame, url = search(), storage_url(storage)
    (name,) = optuna.get_all_study_names(url)
    optuna.load_study(study_name=name, storage=url).add_trial(
        optuna.trial.create_trial(value=0.5)
    )
    assert search().equals(frame)


def test_second_search_in_one_file_is_told_of_the_first(search, tmp_path):
    storage = tmp_path / "on 12:30.sqlite3"

    def accuracy(run):
        with pytest.raises(SearchError, match="another process is at this search"):
            search(objective=accuracy, storage=storage, jobs=1, executor=None)
        return run.test_accuracy

    search(objective=accuracy, storage=storage)


def test_command_finds_out_first_what_it_cannot_write(tmp_path, capsys):
    storage = "--storage", damaged(tmp_path), "--output", f"{tmp_path}/a.csv"
    output = "--output", "/proc/none/a.csv"
    said = "the storage 'sqlite:///", "/proc/none/a.csv cannot be written"
    for options, text in zip((storage, output), said, strict=True):
        assert main(["search", *options]) == 1
        errors = capsys.readouterr().err
        assert errors.startswith(f"tradeoffs: error: {text}")
        assert len(errors.splitlines()) == 1


def test_search_leaves_global_randomness_alone(search):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    search({"filters": [(2, 3)]})
    assert torch.equal(torch.rand(1), expected)
