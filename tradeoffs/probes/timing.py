"""Times that have settled: windows of calls after a warm-up, and their median.

PyTorch's `torch.utils.benchmark` does the same for PyTorch; this page needs no
framework, so that both are timed alike and neither meets the other.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import psutil

WINDOW_SECONDS = 0.25  # shorter where there is less than a second for all
MAX_CALLS = 50  # in a window
MIN_WINDOWS = 5
MIN_SECONDS = 2.0  # in windows: a processor's speed changes from second to second
# The quartile range over the root of the number of windows, as a share of the median.
STABLE = 0.02
QUIET = 0.25  # processors that others may keep busy meanwhile
BUSY = "times measured on a busy machine"


class Time(NamedTuple):
    """The median of several windows, and their lowest and highest."""

    median: float
    lowest: float
    highest: float

    def times(self, factor: float) -> "Time":
        """In another unit, or of so many calls."""
        return Time(*(value * factor for value in self))


def seconds_of(function: Callable, *arguments) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def steady_seconds(call: Callable[[int], object], max_seconds: float) -> Time:
    """Seconds a call, once windows of calls agree.

    Args:
        call: makes so many calls in a row.
        max_seconds: when to stop though the windows do not agree, or though
            they span less than `MIN_SECONDS`.
    """
    began = time.perf_counter()
    first, second = (seconds_of(call, 1) for _ in range(2))
    window = WINDOW_SECONDS * np.clip(max_seconds, 0.2, 1)
    calls = int(np.clip(window / max(min(first, second), 1e-9), 1, MAX_CALLS))
    windows = [second]
    if calls > 1:
        seconds_of(call, calls)  # a whole window of warm-up
        windows = []
    while True:
        windows.append(seconds_of(call, calls) / calls)
        enough = len(windows) >= MIN_WINDOWS and sum(windows) * calls >= MIN_SECONDS
        low, median, high = np.percentile(windows, (25, 50, 75))
        if enough and (high - low) / median / np.sqrt(len(windows)) < STABLE:
            break
        if len(windows) >= 3 and time.perf_counter() - began > max_seconds:
            break
    return Time(float(median), min(windows), max(windows))


def latencies_ms(call: Callable, max_seconds: float) -> list[float]:
    """100 to 1,000 single calls, in milliseconds; of slow ones 20 at least."""
    for _ in range(10):
        call()
    began, times = time.perf_counter(), []
    while len(times) < 1000:
        spent = time.perf_counter() - began
        if len(times) >= 100 and spent > max_seconds:
            break
        if len(times) >= 20 and spent > 8 * max_seconds:
            break
        times.append(seconds_of(call) * 1e3)
    return times


class OtherWork:
    """What other processes take of the processors, from now on."""

    def __init__(self):
        self.since = _seconds_spent()

    def processors(self) -> float:
        """How many they kept busy since then, on average."""
        now = _seconds_spent()
        wall, everyone, this = (b - a for a, b in zip(self.since, now, strict=True))
        return max(everyone - this, 0) / max(wall, 1e-9)

    def note(self) -> list[str]:
        """A note for a profile, if they took more than is fair."""
        busy = self.processors()
        text = f"{BUSY}: other processes kept {busy:.1f} of {psutil.cpu_count()} "
        return [text + "processors at work meanwhile"] if busy > QUIET else []


def wait_for_quiet(max_seconds: float, others: OtherWork | None = None) -> None:
    """Wait until other processes leave the processors alone, but not for long.

    What they took is looked at over a tenth of a second and more; if it has been
    watched since before, so much less is waited.
    """
    began, others = time.perf_counter(), others or OtherWork()
    while time.perf_counter() - began < max_seconds:
        time.sleep(max(others.since[0] + 0.1 - time.perf_counter(), 0))
        if others.processors() <= QUIET:
            return
        others = OtherWork()


def _seconds_spent():
    """Of the clock, of all processes, and of this one with those it waited for."""
    spent, own = psutil.cpu_times(), psutil.Process().cpu_times()
    waiting = ("idle", "iowait", "steal", "guest", "guest_nice")
    everyone = sum(v for k, v in spent._asdict().items() if k not in waiting)
    return time.perf_counter(), everyone, sum(own[:4])
