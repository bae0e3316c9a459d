"""A process for each call, and what becomes of it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import psutil
import pytest

from tradeoffs.processes import FreshProcesses, ProcessKilled, in_fresh_process


def environment(*names):
    return [os.environ.get(name) for name in names]


def test_call_gets_a_process_of_its_own_and_gives_its_result():
    local = 5
    first, second = (
        in_fresh_process(lambda x: (os.getpid(), x + local), 2) for _ in "ab"
    )
    assert first[1] == 7
    assert len({first[0], second[0], os.getpid()}) == 3


def test_threads_are_set_before_anything_is_imported():
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "GOMP_SPINCOUNT")
    assert in_fresh_process(environment, *names, threads=3) == ["3", "3", "0"]


def test_exception_comes_back_as_it_was():
    class OwnError(Exception):
        pass

    def fail():
        raise OwnError("of the notebook's own")

    with pytest.raises(OwnError, match="of the notebook's own"):
        in_fresh_process(fail)


def test_killed_process_is_one_clear_sentence():
    with pytest.raises(ProcessKilled, match=r"SIGKILL\(-9\).*want of memory") as caught:
        in_fresh_process(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="processes fork on Linux alone")
def test_process_that_forks_is_kept_unless_it_was_killed():
    def parent():
        return in_fresh_process(os.getppid, framework="pytorch")

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    first = parent()
    with pytest.raises(ProcessKilled, match=r"SIGKILL\(-9\)"):
        in_fresh_process(die, framework="pytorch")
    assert parent() == first
    with pytest.raises(ProcessKilled, match=r"SIGKILL\(-9\)"):
        in_fresh_process(os.kill, first, signal.SIGKILL, framework="pytorch")
    assert parent() != first


def of_a_fresh_process():
    return in_fresh_process(os.getpid, framework="pytorch")


@pytest.mark.skipif(sys.platform != "linux", reason="processes fork on Linux alone")
def test_fork_of_the_caller_has_processes_of_its_own():
    of_a_fresh_process()  # and one waits here for the next
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(of_a_fresh_process).result(timeout=100) > 0
    of_a_fresh_process()
    with (
        context.Pool(1) as pool,
        pytest.raises(RuntimeError, match="may start no others"),
    ):
        pool.apply_async(of_a_fresh_process).get(timeout=100)


def test_framework_that_cannot_be_imported_is_said_in_its_own_words(tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('libfoo.so is gone')")
    command = [sys.executable, "-m", "tradeoffs", "measure", "keras_mlp"]
    surroundings = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 1
    assert "libfoo.so is gone" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_environment_and_folder_are_the_caller_s_at_the_call(monkeypatch, tmp_path):
    options = {"framework": "pytorch"}
    in_fresh_process(os.getcwd, **options)
    changed = {"TRADEOFFS_RESULTS": "elsewhere", "TF_CPP_MIN_LOG_LEVEL": "1"}
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert in_fresh_process(environment, *changed, **options) == [*changed.values()]
    assert in_fresh_process(os.getcwd, **options) == str(tmp_path)


def test_at_most_so_many_processes_run_at_once():
    def span():
        began = time.time()
        time.sleep(0.3)
        return began, time.time()

    with FreshProcesses(jobs=2) as processes:
        spans = [f.result() for f in [processes.submit(span) for _ in range(4)]]
    for moment, _ in spans:
        assert sum(began <= moment < ended for began, ended in spans) <= 2


def test_interrupt_ends_what_runs_and_starts_nothing_more(tmp_path):
    def slow(name):
        (tmp_path / name).touch()
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), FreshProcesses() as processes:
        for name in ("first", "second"):
            processes.submit(slow, name)
        while not (tmp_path / "first").exists():
            time.sleep(0.05)
        raise KeyboardInterrupt
    assert time.monotonic() - began < 10
    assert not (tmp_path / "second").exists()


DRIVER = """
import os, time
from tradeoffs.processes import in_fresh_process

def work(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)

in_fresh_process(work, {path!r})  # no main guard
"""


def test_child_of_a_killed_driver_is_gone_within_five_seconds(tmp_path):
    path = tmp_path / "pid"
    driver = subprocess.Popen([sys.executable, "-c", DRIVER.format(path=str(path))])
    while not (path.exists() and path.read_text()):
        assert driver.poll() is None
        time.sleep(0.05)
    child = psutil.Process(int(path.read_text()))
    driver.kill()
    driver.wait()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
