"""Three processes, one PostgreSQL server, and a kill.

The server is a real one, started here on a free port and stopped at the end.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy
from search_worker import (
    MAX_NETWORKS,
    NUM_NETWORKS,
    STATES,
    check_every_point_once,
    plan_arguments,
    start_worker,
    trials_in,
    wait_for_a_running_trial,
)

import tradeoffs
from tradeoffs import SearchError
from tradeoffs.searches.space import Plan

AMOUNT = {"epochs": 3, "num_images": 400}
START_SECONDS = 60


def programs():
    """The folder of PostgreSQL's programs, the newest version first."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda p: float(p.parent.name), reverse=True)
    return next((f for f in folders if (f / "postgres").exists()), None)


def as_another_user():
    """How to start the server: it refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.fail("PostgreSQL refuses to run as root, and there is no other user")
    return None


@pytest.fixture
def running_server():
    """The URL of a running server, and its process."""
    folder = programs()
    if folder is None:
        reason = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI_REQUIRE_POSTGRESQL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    user = as_another_user()
    root = Path(tempfile.mkdtemp(prefix="tradeoffs-postgresql-"))
    try:
        if user:
            os.chown(root, user["user"], user["group"])
        data = root / "data"
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "tester", "--auth=trust", "-N"],
            check=True,
            capture_output=True,
            cwd=root,
            **user,
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (root / "log").open("w") as log:
            process = subprocess.Popen(
                [
                    *(folder / "postgres", "-D", data, "-k", root, "-p", str(port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
                ],
                stdout=log,
                stderr=log,
                cwd=root,
                **user,
            )
        try:
            url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
            wait_until_it_answers(url, process, root / "log")
            yield url, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait(60)
    finally:
        shutil.rmtree(root)


def wait_until_it_answers(url, process, log):
    engine = sqlalchemy.create_engine(url)
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            engine.connect().close()
        except sqlalchemy.exc.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"PostgreSQL does not start: {log.read_text()}")
            time.sleep(0.1)
        else:
            engine.dispose()
            return


def test_three_workers_finish_the_grid_though_one_is_killed(running_server):
    url, server = running_server
    workers = {w.pid: w for w in (start_worker(url, **AMOUNT) for _ in range(3))}
    try:
        killed = workers.pop(wait_for_a_running_trial(url))
        killed.kill()
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL
        in_the_middle = [
            trial
            for trial in trials_in(url)
            if trial.state == STATES.RUNNING
            and trial.user_attrs.get("process") == killed.pid
        ]
        assert 1 <= len(in_the_middle) <= MAX_NETWORKS
        for worker in workers.values():
            shown, errors = worker.communicate(timeout=120)
            assert worker.returncode == 0, errors
            assert f"{NUM_NETWORKS} networks" in shown
    finally:
        for worker in workers.values():
            worker.kill()
    trials = trials_in(url)
    check_every_point_once(trials, NUM_NETWORKS)
    done = [trial for trial in trials if trial.state == STATES.COMPLETE]
    assert len({trial.user_attrs["process"] for trial in done}) >= 2
    # What the killed one was at was done again, by a survivor.
    for lost in in_the_middle:
        (again,) = (
            t for t in done if t.user_attrs["point"] == lost.user_attrs["point"]
        )
        assert again.user_attrs["process"] in workers
        assert trials[lost.number].state == STATES.FAIL
    frame = tradeoffs.search(**plan_arguments(**AMOUNT), storage=url, progress=False)
    assert len(frame) == NUM_NETWORKS == Plan(**plan_arguments(**AMOUNT)).num_networks
    assert len(trials_in(url)) == len(trials)  # it was read, not trained again

    server.send_signal(signal.SIGINT)
    server.wait(60)
    with pytest.raises(SearchError, match="does not answer") as caught:
        tradeoffs.search(**plan_arguments(**AMOUNT), storage=url, progress=False)
    assert "\n" not in str(caught.value)
