import multiprocessing
import os
import signal
import subprocess
import sys

# Before any kernel or worker starts: bars would be compared as output.
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

import tradeoffs

# A shell's & lets its commands ignore the signal; some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def mnist():
    return tradeoffs.mnist()


@pytest.fixture(scope="session")
def small(mnist):
    """The first images of MNIST: enough to see a loss fall."""
    return mnist.head(2000, 500)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results of its own, in which nothing is recorded."""
    monkeypatch.setenv("TRADEOFFS_RESULTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def start_command():
    """Start `python -m tradeoffs` with these arguments, in a session of its own."""

    def start(*arguments, stderr=subprocess.STDOUT):
        return subprocess.Popen(
            [sys.executable, "-m", "tradeoffs", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
            env=os.environ | {"TQDM_DISABLE": "0"},
        )

    return start


@pytest.fixture
def in_two_processes():
    """Call a function in two processes at once; both must end well."""

    def call(function):
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=function) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]

    return call


@pytest.fixture(autouse=True)
def one_framework_a_process():
    yield
    assert not ("torch" in sys.modules and "tensorflow" in sys.modules)
