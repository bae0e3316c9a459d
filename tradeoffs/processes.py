"""A fresh process for each call, so that frameworks never meet.

Trainings, searches and probes all start their processes here. loky gives what a
command or `multiprocessing` does not: no main guard in the caller's script,
functions and models from a notebook, and the child's exception as it was.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor

WATCH_SECONDS = 1.0


class ProcessKilled(RuntimeError):
    """A process that ended before it gave its answer; the message says how."""


def in_fresh_process(function, *arguments, threads: int | None = None, **keywords):
    """What a function returns, called in a process of its own.

    The process ends with the call, and a second or two after this one is killed.

    Args:
        function: by name where it can be imported, else by value, such as one
            that is defined in a notebook.
        threads: that the frameworks may compute on; None leaves it to them.
        arguments, keywords: of the function.

    Raises:
        ProcessKilled: the process was killed.
        Exception: what the function raised there.
    """
    with FreshProcesses(threads=threads) as processes:
        return processes.submit(function, *arguments, **keywords).result()


class FreshProcesses(Executor):
    """An executor that gives each call a process of its own.

    Left by an exception, such as Ctrl-C, it kills what still runs.

    Args:
        jobs: processes at once.
        threads: that each may compute on; None leaves it to the frameworks.
    """

    def __init__(self, jobs: int = 1, threads: int | None = None):
        self._environment = _environment(threads)
        self._waiters = ThreadPoolExecutor(jobs)
        self._running, self._stopped = set(), False

    def submit(self, function, /, *arguments, **keywords) -> Future:
        """Call a function in a process of its own; see `in_fresh_process`."""
        return self._waiters.submit(self._call, function, arguments, keywords)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait for those that run unless told not to."""
        self._waiters.shutdown(wait=wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """End every process at once, and start no other."""
        self._stopped = True
        self._waiters.shutdown(wait=False, cancel_futures=True)
        for pool in list(self._running):
            pool.shutdown(wait=False, kill_workers=True)

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            self.kill()
        self.shutdown(wait=True)

    def _call(self, function, arguments, keywords):
        from loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

        pool = ProcessPoolExecutor(
            max_workers=1,
            initializer=_begin,
            initargs=(os.getpid(),),
            env=self._environment,
        )
        self._running.add(pool)
        try:
            if self._stopped:
                raise ProcessKilled("stopped before it began")
            return pool.submit(function, *arguments, **keywords).result()
        except TerminatedWorkerError as error:
            raise ProcessKilled(
                "a process was killed before its work was done "
                f"({_exit_codes(error)}), most often for want of memory"
            ) from None
        finally:
            self._running.discard(pool)
            pool.shutdown(wait=True, kill_workers=True)


def _exit_codes(error):
    """What loky's message says of how the process ended, such as SIGKILL(-9)."""
    codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
    return codes[1] if codes else "its exit code is not known"


def _environment(threads):
    # Threads that spin while they wait are a third faster on a quiet machine, and
    # several times slower on a busy one, where they wait for each other.
    usual = {"GOMP_SPINCOUNT": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    chosen = {name: os.environ.get(name, value) for name, value in usual.items()}
    if threads is not None:
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        chosen |= dict.fromkeys(names, str(threads))
    return chosen


def _begin(parent):
    """Prepare the process: it ends with its parent, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
