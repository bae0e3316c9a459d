"""Memory at its peak: of this process, and of an accelerator where there is one.

The accelerators' part is written against the documented interfaces; the tests run
without a GPU.
"""

import contextlib
import os
import re
from pathlib import Path

import psutil

from tradeoffs.probes.profile import MIB

DEVICES = ("cpu", "cuda", "mps")


class PeakMemory:
    """The peak of resident memory above the level at which this was made.

    Pages of files do not count: they are libraries, which a process that was forked
    has yet to map, and one that has imported them has not.
    """

    def __init__(self):
        with contextlib.suppress(OSError):  # forget an earlier peak
            Path("/proc/self/clear_refs").write_text("5")
        self.level, self.of_files = _resident_bytes()
        self.peak_before = peak_bytes()

    def mib(self) -> float | None:
        """MiB at peak above the level; None where the system cannot tell."""
        peak = peak_bytes()
        # An earlier peak that the system could not forget may hide this one.
        if self.peak_before > self.level * 1.01 and peak <= self.peak_before:
            return None
        mapped = _resident_bytes()[1] - self.of_files
        return max(peak - mapped - self.level, 0) / MIB


def _resident_bytes():
    """In all, and of files; Linux alone tells the latter."""
    memory = psutil.Process().memory_info()
    return memory.rss, getattr(memory, "shared", 0)


def peak_bytes() -> int:
    """The peak of this process's resident memory."""
    status = Path("/proc/self/status")
    found = status.exists() and re.search(r"VmHWM:\s*(\d+)", status.read_text())
    if found:
        return int(found[1]) * 1024
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    import resource

    # In bytes on macOS; Linux, where it is in KiB, has answered above.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def accelerator_memory(framework: str, device: str) -> dict[str, float]:
    """MiB that a framework holds on a device, for `Profile`; empty on the CPU."""
    if device == "mps":
        from torch import mps

        # MPS keeps no peak; after a step its driver still holds the blocks.
        allocated, reserved = mps.current_allocated_memory, mps.driver_allocated_memory
        return _in_mib(allocated=allocated(), reserved=reserved())
    if device == "cpu":
        return {}
    if framework == "keras":
        import tensorflow as tf

        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return _in_mib(allocated=peak, process=_by_the_driver(0))
    from torch import cuda

    return _in_mib(
        allocated=cuda.max_memory_allocated(),
        reserved=cuda.max_memory_reserved(),
        process=_by_the_driver(cuda.current_device()),
    )


def _in_mib(**found):
    return {f"accelerator_{k}_mib": v / MIB for k, v in found.items() if v is not None}


def _by_the_driver(index):
    """Bytes of this process on a CUDA device; None as in some containers."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    pynvml.nvmlShutdown()
    return {p.pid: p.usedGpuMemory for p in processes}.get(os.getpid())
