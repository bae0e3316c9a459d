"""Searching on real images: few of them, and kept in a sqlite file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from search_worker import (
    HEARTBEAT_SECONDS,
    NUM_NETWORKS,
    STATES,
    check_every_point_once,
    plan_arguments,
    start_worker,
    trials_in,
    wait_for_a_running_trial,
)
from torch import nn

import tradeoffs
from tradeoffs import ARTICLE, SMALL_NET_SPACE, RecordError, SearchError, article
from tradeoffs.records import results_folder
from tradeoffs.searches.claims import alive, claim, interrupts_held
from tradeoffs.searches.space import Plan, arguments_of
from tradeoffs.searches.storage import storage_url
from tradeoffs.searches.study import SearchStudy
from tradeoffs.searches.table import FILE, REFINED_FILE, read_table, write_table
from tradeoffs.searches.worker import check_networks, named_builder
from tradeoffs.series import CHOSEN_SMALL_NET, WITHOUT_OVERLAP

SCHEDULE = ARTICLE.first(1)
SPACE = {"filters": [(2, 3), (3, 4)], "pool": [4], "slope": [0.0, 0.1]}


@pytest.fixture
def storage(tmp_path):
    return str(tmp_path / "searches.sqlite3")


@pytest.fixture(scope="module")
def images(mnist):
    return mnist.head(320, 100)


@pytest.fixture
def search(storage, images):
    def run(space=SPACE, objective="accuracy", schedule=SCHEDULE, **options):
        options = {"dataset": images, "storage": storage} | options
        return tradeoffs.search(space, objective, schedule, progress=False, **options)

    return run


def test_grid_is_searched_and_kept(search, storage, images):
    frame = search()
    assert len(frame) == 4
    assert frame.num_parameters.tolist() == [121, 121, 198, 198]
    assert frame.filters.tolist() == [(2, 3), (2, 3), (3, 4), (3, 4)]
    assert frame.side_by_side.tolist() == [4, 4, 4, 4]
    check_every_point_once(trials_in(storage), 4)
    again = search()
    assert again.equals(frame)
    assert len(trials_in(storage)) == 4
    model = tradeoffs.build("small_net", seed=0, filters=(3, 4), pool=4, slope=0.1)
    alone = tradeoffs.fit(model, images, SCHEDULE, 0, progress=False)
    assert frame.validation_loss[3] == pytest.approx(alone.test_loss, abs=1e-3)


def test_seeds_and_learning_rates_may_be_searched(search):
    space = {"filters": [(2, 3)], "seed": [0, 1], "learning_rate": [1e-2, 1e-3]}
    frame = search(space)
    assert frame.seed.tolist() == [0, 0, 1, 1]
    assert frame.learning_rate.tolist() == [1e-2, 1e-3] * 2
    assert frame.side_by_side.tolist() == [4] * 4
    assert frame.validation_loss.nunique() == 4


def test_failed_network_is_tried_again_and_counts_once(search, storage):
    failures = []

    def accuracy(run):
        if len(failures) < 2:
            failures.append(run)
            raise OSError("no such luck")
        return run.test_accuracy

    frame = search(objective=accuracy)
    assert len(frame) == 4
    trials = trials_in(storage)
    check_every_point_once(trials, 4)
    errors = [t.user_attrs["error"] for t in trials if t.state == STATES.FAIL]
    assert errors == ["OSError: no such luck"] * 2


def test_network_that_always_fails_ends_the_search_and_names_why(search, storage):
    def accuracy(run):
        if run.num_parameters == 198:
            raise OSError("no such luck")
        return run.test_accuracy

    with pytest.raises(SearchError, match="failed 3 times: OSError: no such luck"):
        search(objective=accuracy)
    states = Counter(t.state for t in trials_in(storage))
    assert states[STATES.COMPLETE] == 2
    assert not states[STATES.RUNNING]


def test_network_that_diverges_is_a_result(search):
    frame = search({"learning_rate": [5e-3, 1e9], "batch_norm": [False]})
    assert frame.diverged.tolist() == [False, True]
    assert frame.validation_accuracy[1] == 0
    assert frame.validation_loss.isna().tolist() == [False, True]


def test_changed_plan_is_a_study_of_another_name():
    plan = Plan(space=SPACE)
    changed = [
        Plan(space=SPACE | {"slope": [0.0, 0.2]}),
        Plan(space=SPACE, schedule=SCHEDULE),
        Plan(space=SPACE, seed=1),
        Plan(space=SPACE, num_images=100),
        Plan(space=SPACE, objective=("loss",)),
        Plan(space=SPACE, dataset="mine"),
        Plan(space=SPACE, sampler="tpe", num_trials=4),
    ]
    names = {plan.study_name, *(other.study_name for other in changed)}
    assert len(names) == 1 + len(changed)
    assert plan.study_name.startswith("small_net-article-grid-4-")
    assert Plan.from_dict(plan.to_dict()).study_name == plan.study_name


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_other_samplers_weigh_accuracy_against_parameters(search, storage, sampler):
    objective = ("accuracy", "parameters")
    options = {"sampler": sampler, "num_trials": 5, "max_networks": 2}
    frame = search(objective=objective, **options)
    assert len(frame) == 5
    trials = sorted(trials_in(storage), key=lambda t: t.number)
    for trial, row in zip(trials, frame.itertuples(), strict=True):
        assert trial.values == [row.validation_accuracy, row.num_parameters]
    assert len(search(objective=objective, **options)) == 5
    assert len(trials_in(storage)) == 5


def test_a_model_of_the_readers_own(search):
    def tiny(width):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10)
        )

    frame = search({"width": [2, 3, 4]}, model=tiny)
    assert frame.num_parameters.tolist() == [1600, 2395, 3190]
    assert frame.side_by_side.tolist() == [1, 2, 2]  # 3 and 4: the same power of 2


def test_point_enqueued_twice_is_trained_once(search, storage, images):
    plan = Plan(space=SPACE, schedule=SCHEDULE, dataset=images.name)
    study = SearchStudy(plan, storage_url(storage))
    for point in (1, 3):
        study.study.enqueue_trial(
            {"filters": "[3, 4]", "pool": 4, "slope": 0.1}, user_attrs={"point": point}
        )
    assert len(search()) == 4
    check_every_point_once(trials_in(storage), 4)


def test_long_training_keeps_its_networks(storage, images):
    plan = Plan(space=SPACE, schedule=SCHEDULE, dataset=images.name)
    study, other = (SearchStudy(plan, storage_url(storage), 1) for _ in range(2))
    with alive(study) as claims:
        claims += claim(study, 4, lambda point: "one stack")
        time.sleep(6)  # past the four seconds after which a process counts as dead
        other.recover()
        assert [t.state for t in other.trials()] == [STATES.RUNNING] * 4
    other.recover()
    assert Counter(t.state for t in other.trials()) == {
        STATES.FAIL: 4,
        STATES.WAITING: 4,
    }


def test_kill_in_the_middle_of_a_batch_loses_that_batch_at_most(storage):
    amount = {"epochs": 3, "num_images": 600}
    first = start_worker(storage, **amount)
    assert wait_for_a_running_trial(storage_url(storage)) == first.pid
    first.kill()
    first.communicate()
    left = Counter(t.state for t in trials_in(storage))
    assert 1 <= left[STATES.RUNNING] <= 3
    plan = Plan(**plan_arguments(**amount))
    frame = tradeoffs.search(
        **plan_arguments(**amount),
        storage=storage,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        progress=False,
    )
    assert len(frame) == NUM_NETWORKS == plan.num_networks
    trials = trials_in(storage)
    check_every_point_once(trials, NUM_NETWORKS)
    assert len(trials) == NUM_NETWORKS + left[STATES.RUNNING]


def run_command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tradeoffs", "search", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def test_command_searches_in_processes_and_writes_the_table(storage, tmp_path):
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"filters": [[2, 3]], "pool": [3, 4]}))
    results = tmp_path / "results"
    arguments = (
        *("--space", str(space), "--storage", storage, "--jobs", "2"),
        *("--epochs", "1", "--images", "300"),
    )
    done = run_command(*arguments, TRADEOFFS_RESULTS=str(results))
    assert done.returncode == 0, done.stderr
    (path,) = results.rglob("*.csv")
    assert str(path) in done.stdout
    frame = read_table(path)
    assert frame.pool.tolist() == [3, 4]
    assert frame.attrs["study"] in done.stdout
    assert frame.attrs["environments"][0]["threads"] == 1


@pytest.mark.parametrize("interrupts", [1, 2])
def test_interrupt_within_a_claim(search, storage, monkeypatch, interrupts):
    take, left = SearchStudy.take, list(range(interrupts))

    def interrupted(study, trial_id):
        taken = take(study, trial_id)
        while left:
            left.pop()
            os.kill(os.getpid(), signal.SIGINT)
        return taken

    monkeypatch.setattr(SearchStudy, "take", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search()
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    running = [t for t in trials_in(storage) if t.state == STATES.RUNNING]
    # The second does not wait: a network is left, until it counts as abandoned.
    assert len(running) == interrupts - 1
    if interrupts == 1:
        assert len(search()) == 4
        check_every_point_once(trials_in(storage), 4)


def test_interrupts_stay_ignored_where_they_are():
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_held():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)


def test_stopped_command_gives_its_networks_back(storage, tmp_path):
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"filters": [[2, 3]], "pool": [4]}))
    command = [sys.executable, "-m", "tradeoffs", "search"]
    process = subprocess.Popen(
        [*command, "--space", str(space), "--storage", storage],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for_a_running_trial(storage_url(storage), intermediate=False)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what has finished is kept" in shown
    assert "Traceback" not in shown
    assert not any(t.state == STATES.RUNNING for t in trials_in(storage))


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ([1, 2], "a space is a list; give a mapping"),
        ({}, "the space is empty"),
        ({"pool": []}, "the grid is empty: 'pool' has no values"),
        ({"pool": 2}, "the values of 'pool' are 2; give a list"),
        ({"pool": [2, 2]}, "2 is twice among the values of 'pool'"),
        ({"filters": [(5, 8), [5, 8]]}, "[5, 8] is twice"),
        ({"pool": [2], "pooling": [{"pool": 3}]}, "'pool' is set twice"),
        ({"pool": [{2}]}, "is not a number, a text, a list or a mapping"),
        ({"pool": [2, 9]}, "pool is 9; it must be one of None, 2, 3, 4, 5, 6"),
        ({"seed": [-1]}, "seed is -1"),
        ({"learning_rate": [0]}, "learning_rate is 0"),
        ({"dropout": [0.5]}, "dropout"),
    ],
)
def test_wrong_space_is_said_before_anything_is_made(search, storage, space, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        search(space)
    assert said in str(caught.value)
    assert not Path(storage).exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"objective": "speed"}, "must be one of accuracy, loss, parameters"),
        ({"schedule": "article"}, "give a Schedule"),
        ({"sampler": "gird"}, "sampler is 'gird'"),
        ({"sampler": "tpe"}, "say how many networks"),
        ({"num_trials": 3}, "a grid has an end"),
        ({"jobs": 0}, "jobs is 0"),
        ({"jobs": 2}, "by name only"),
        ({"max_networks": 0}, "max_networks is 0"),
        ({"num_images": -1}, "num_images is -1"),
        ({"heartbeat_seconds": 0.5}, "heartbeat_seconds is 0.5"),
        ({"model": "resnet"}, "no model 'resnet'"),
    ],
)
def test_wrong_argument_is_named(search, options, said):
    with pytest.raises((TypeError, ValueError)) as caught:
        search(**options)
    assert said in str(caught.value)


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
        (damaged, "cannot be read or written"),
        (read_only, "attempt to write a readonly database"),
        (lambda _: "sqlite:////proc/none/searches", "unable to open database file"),
        (lambda _: "oracle://server/searches", "driver that is not installed"),
        (lambda _: "nosuch://server/searches", "is not a storage"),
    ],
)
def test_storage_that_fails_is_one_clear_sentence(search, tmp_path, make, said):
    with pytest.raises(SearchError) as caught:
        search(storage=make(tmp_path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_command_says_it_in_one_line(tmp_path):
    done = run_command("--storage", damaged(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("tradeoffs: error: the storage sqlite:///")
    assert len(done.stderr.splitlines()) == 1
    done = run_command("--jobs", "0")
    assert done.returncode == 2


def test_table_survives_the_way_to_disk_and_back(search, tmp_path):
    space = {"filters": [(2, 3)], "pooling": [{"pool": None}, {"pool": 4}]}
    frame = search(space)
    path = write_table(frame, tmp_path / "table.csv")
    again = read_table(path)
    assert again.filters.tolist() == [(2, 3), (2, 3)]
    assert again.pool.isna().tolist() == [True, False]
    assert again.validation_loss.tolist() == frame.validation_loss.tolist()
    assert again.attrs == frame.attrs
    path.write_text(path.read_text()[:-5])
    with pytest.raises(RecordError, match=r"table\.csv was cut short"):
        read_table(path)
    path.write_text("filters,pool\n")
    with pytest.raises(RecordError, match="not the table of a search"):
        read_table(path)


def test_small_net_space_holds_the_article_and_many_smaller_networks():
    plan = Plan(space=SMALL_NET_SPACE)
    check_networks(plan, named_builder("small_net"))
    counts = [
        sum(
            p.numel()
            for p in tradeoffs.build("small_net", **arguments_of(point)).parameters()
        )
        for point in plan.points
    ]
    assert len(counts) == 304
    assert 518 in counts
    assert 598 in counts
    assert sum(count <= 518 for count in counts) > 150
    layouts = SMALL_NET_SPACE["layout"]
    assert {layout["pool"] for layout in layouts} == {None, 2, 3, 4}
    kinds = {(layout["pool_after"], layout["pool_kind"]) for layout in layouts}
    assert kinds == {(1, "max"), (1, "average"), (2, "max")}


def test_search_leaves_global_randomness_alone(search):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    search({"filters": [(2, 3)]})
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("name", [FILE, REFINED_FILE])
def test_recorded_searches_are_whole(name):
    frame = read_table(results_folder() / name)
    plan = Plan.from_dict(frame.attrs["plan"])
    assert plan.schedule == ARTICLE
    assert plan.num_images is None
    assert plan.num_networks == len(frame)
    assert (frame.epochs == ARTICLE.epochs).all()
    assert not frame.diverged.any()
    if name == FILE:
        assert plan.study_name == Plan(space=SMALL_NET_SPACE).study_name
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row, point in zip(sorted_by_point(rows, plan), plan.points, strict=True):
        arguments = {"seed": plan.seed} | arguments_of(point)
        network = tradeoffs.build("small_net", **arguments)
        assert row["num_parameters"] == sum(p.numel() for p in network.parameters())


def sorted_by_point(rows, plan):
    """The rows of a recorded search in the order of its plan's points."""
    names = list({"seed": plan.seed} | arguments_of(plan.points[0]))
    key = {json.dumps([row[name] for name in names]): row for row in rows}
    points = [{"seed": plan.seed} | arguments_of(point) for point in plan.points]
    return [key[json.dumps([point[name] for name in names])] for point in points]


@pytest.mark.parametrize("chosen", [CHOSEN_SMALL_NET, WITHOUT_OVERLAP])
def test_chosen_small_nets_are_the_best_of_the_finer_search(chosen):
    frame = read_table(results_folder() / REFINED_FILE)
    assert frame.num_parameters.max() <= article.NUM_PARAMETERS["small_net"]
    if chosen is WITHOUT_OVERLAP:
        frame = frame[frame.pool == frame.pool_stride]
    by_network = frame.groupby([*WITHOUT_OVERLAP, "pool_stride"]).validation_accuracy
    assert (by_network.size() == 3).all()
    means = by_network.mean()
    best = dict(zip(means.index.names, means.idxmax(), strict=True))
    assert best | {"filters": list(best["filters"])} == {"pool_stride": 4} | chosen
