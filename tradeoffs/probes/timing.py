"""Times that have settled: windows of calls after a warm-up, and their median.

PyTorch's `torch.utils.benchmark` does the same for PyTorch; this page needs no
framework, so that both are timed alike and neither meets the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

WINDOW_SECONDS = 0.25
MAX_CALLS = 50  # in a window
MIN_WINDOWS = 5
MIN_SECONDS = 2.0  # in windows: a processor's speed changes from second to second
STABLE = 0.02  # the median's uncertainty, as a share of it


def seconds_of(function: Callable, *arguments) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def steady_seconds(call: Callable[[int], object], max_seconds: float) -> float:
    """Median seconds a call, once windows of calls agree.

    Args:
        call: makes so many calls in a row.
        max_seconds: when to stop though the windows do not agree, or though
            they span less than `MIN_SECONDS`.
    """
    began = time.perf_counter()
    once = min(seconds_of(call, 1) for _ in range(2))
    calls = int(np.clip(WINDOW_SECONDS / max(once, 1e-9), 1, MAX_CALLS))
    seconds_of(call, calls)  # a whole window of warm-up
    windows = []
    while True:
        windows.append(seconds_of(call, calls) / calls)
        enough = len(windows) >= MIN_WINDOWS and sum(windows) * calls >= MIN_SECONDS
        if enough and uncertainty(windows) < STABLE:
            break
        if len(windows) >= 3 and time.perf_counter() - began > max_seconds:
            break
    return float(np.median(windows))


def uncertainty(values: list[float]) -> float:
    """Of the median of values: quartile range over the root of their number."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return float((high - low) / median / np.sqrt(len(values)))


def latencies_ms(call: Callable, max_seconds: float) -> dict[str, float]:
    """Percentiles of 100 to 1,000 single calls, in milliseconds, for `Profile`."""
    for _ in range(10):
        call()
    began, times = time.perf_counter(), []
    while len(times) < 1000 and (
        len(times) < 100 or time.perf_counter() - began < max_seconds
    ):
        times.append(seconds_of(call) * 1e3)
    return {f"latency_ms_p{p}": float(np.percentile(times, p)) for p in (50, 90, 99)}
