"""A fresh process for each call, so that frameworks never meet.

Trainings, searches and probes all start their processes here. loky gives what a
command or `multiprocessing` does not: no main guard in the caller's script,
functions and models from a notebook, and the child's exception as it was.

Where calls name their framework, on Linux, a process imports it once, computes
nothing, and forks for each call: seconds less, and as clean. It waits a minute for
the next call.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import multiprocessing
import os
import re
import signal
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import util

WATCH_SECONDS = 1.0
IDLE_SECONDS = 60
# Threads that spin while they wait are a third faster on a quiet machine, and several
# times slower on a busy one, where they wait for each other.
_ENVIRONMENT = {"GOMP_SPINCOUNT": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}  # if not chosen
_THREADS = "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
_PAGES = {"pytorch": "tradeoffs.probes.prediction", "keras": "tradeoffs.probes.keras"}
# Of this process, not of one that it was forked from: processes that wait, by what
# they have imported.
_idle = defaultdict(list)
_import_seconds = {}  # in such a process: what that took


class ProcessKilled(RuntimeError):
    """A process that ended before it gave its answer; the message says how."""


def in_fresh_process(
    function,
    *arguments,
    threads: int | None = None,
    framework: str | None = None,
    **keywords,
):
    """What a function returns, called in a process of its own.

    The process ends with the call, and a second or two after this one is killed.

    Args:
        function: by name where it can be imported, else by value, such as one
            that is defined in a notebook.
        threads: that the frameworks may compute on; None leaves it to them.
        framework: that it will compute with on the CPU, "pytorch" or "keras".
        arguments, keywords: of the function.

    Raises:
        ProcessKilled: the process was killed.
        Exception: what the function raised there.
    """
    with FreshProcesses(threads=threads, framework=framework) as processes:
        return processes.submit(function, *arguments, **keywords).result()


def imported_before() -> tuple[str, float] | None:
    """What this process's parent imported before it forked, and in how many seconds."""
    return next(iter(_import_seconds.items()), None)


def import_ahead(framework: str) -> None:
    """Import a framework in a process that then waits for a call.

    On Linux alone, and where another processor is free to do so.
    """
    import loky

    if sys.platform == "linux" and loky.cpu_count() > 1:
        FreshProcesses(framework=framework).submit(int)


class FreshProcesses(ThreadPoolExecutor):
    """An executor that gives each call a process of its own.

    Left by an exception, such as Ctrl-C, it kills what still runs.

    Args:
        jobs: processes at once.
        threads, framework: of every call, as of `in_fresh_process`.
    """

    def __init__(
        self, jobs: int = 1, threads: int | None = None, framework: str | None = None
    ):
        super().__init__(jobs)  # a thread waits for each process
        self._threads_each = threads
        self._framework = framework if sys.platform == "linux" else None
        self._running, self._stopped = set(), False

    def submit(self, function, /, *arguments, **keywords) -> Future:
        """Call a function in a process of its own; see `in_fresh_process`."""
        return super().submit(self._call, function, arguments, keywords)

    def __exit__(self, kind, error, traceback):
        if kind is not None:  # end every process at once, and start no other
            self._stopped = True
            self.shutdown(wait=False, cancel_futures=True)
            for pool in list(self._running):
                pool.shutdown(wait=False, kill_workers=True)
        self.shutdown(wait=True)

    def _call(self, function, arguments, keywords):
        import cloudpickle
        from loky.process_executor import TerminatedWorkerError

        waiting = _idle[os.getpid(), self._framework]
        try:  # another thread may take the last one
            pool = waiting.pop()
        except IndexError:
            pool = self._new_pool()
        self._running.add(pool)
        healthy = False
        try:
            if self._stopped:
                raise ProcessKilled("stopped before it began")
            if self._framework is None:
                return pool.submit(function, *arguments, **keywords).result()
            # Read by the forked process, so that the one that forks stays clean.
            call = cloudpickle.dumps((function, arguments, keywords))
            # As they are now: that process may have begun with others.
            surroundings = dict(os.environ), os.getcwd(), sys.path  # noqa: PTH109
            options = self._threads_each, surroundings, call
            result = pool.submit(_in_fork, self._framework, *options).result()
            healthy = True
            succeeded, answer = cloudpickle.loads(result)
            if not succeeded:
                raise answer
            return answer
        except TerminatedWorkerError as error:
            # Outside Windows loky's message has how it ended, such as SIGKILL(-9).
            codes = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
            how = codes[1] if codes else "its exit code is not known"
            raise _killed(how) from None
        finally:
            self._running.discard(pool)
            if healthy and not self._stopped:
                waiting.append(pool)
            else:
                pool.shutdown(wait=True, kill_workers=True)

    def _new_pool(self):
        from loky.process_executor import ProcessPoolExecutor

        if multiprocessing.current_process().daemon:
            raise RuntimeError(
                "this is a daemonic process, such as one of multiprocessing.Pool, and "
                "may start no others; call from one of concurrent.futures"
            )
        environment = _ENVIRONMENT | os.environ
        if self._threads_each is not None and self._framework is None:
            environment |= dict.fromkeys(_THREADS, str(self._threads_each))
        # After loky's own preparations for the end, so before them.
        _end_idle_at_exit(os.getpid())
        return ProcessPoolExecutor(
            max_workers=1,
            timeout=IDLE_SECONDS,
            initializer=_begin,
            initargs=(os.getpid(),),
            env=environment,
        )


@functools.cache
def _end_idle_at_exit(process):
    def end():
        for (owner, _), pools in _idle.items():
            for pool in pools if owner == process else ():
                pool.shutdown(wait=True, kill_workers=True)

    atexit.register(end)
    # A process of multiprocessing leaves without those, and would wait for them.
    util.Finalize(None, end, exitpriority=100)


def _killed(how):
    often = "" if "SIGSEGV" in how else ", most often for want of memory"
    return ProcessKilled(
        f"a process was killed before its work was done ({how}){often}"
    )


def _begin(parent):
    """Prepare a process: it ends with its parent, and leaves Ctrl-C to it."""

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _in_fork(framework, *call):
    """Whether a call succeeds in a fork of this process, and what it gives, pickled."""
    import cloudpickle

    if framework not in _import_seconds:
        began = time.perf_counter()
        try:
            importlib.import_module(_PAGES[framework])
        except Exception as error:
            said = f"{framework} cannot be imported: {type(error).__name__}: {error}"
            raise RuntimeError(said) from None  # and this process is of no more use
        _import_seconds[framework] = time.perf_counter() - began
        gc.freeze()  # what is there now need not be looked through in each fork
    context = multiprocessing.get_context("fork")
    answers, end = context.Pipe(duplex=False)
    fork = context.Process(target=_answer, args=(end, os.getpid(), framework, *call))
    fork.start()
    end.close()
    answer = b""
    with contextlib.suppress(EOFError):
        answer = answers.recv_bytes()
    fork.join()
    code = fork.exitcode
    if answer and not code:
        return answer
    name = signal.Signals(-code).name if code < 0 else "EXIT"
    return cloudpickle.dumps((False, _killed(f"{name}({code})")))


def _answer(end, parent, framework, threads, surroundings, call):
    import cloudpickle

    from tradeoffs.frameworks import set_threads

    _begin(parent)
    try:
        environment, folder, sys.path[:] = surroundings
        os.environ.clear()
        os.environ.update(_ENVIRONMENT | environment)
        os.chdir(folder)
        if threads is not None:
            set_threads(framework, threads)
        function, arguments, keywords = cloudpickle.loads(call)
        answer = cloudpickle.dumps((True, function(*arguments, **keywords)))
    except BaseException as error:
        try:
            answer = cloudpickle.dumps((False, error))
        except Exception:
            text = f"{type(error).__name__}: {error}"
            answer = cloudpickle.dumps((False, RuntimeError(text)))
    end.send_bytes(answer)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # whatever threads the call has left behind
