"""Resident memory of this process: its level, and its peak since then."""

from __future__ import annotations

import sys
from pathlib import Path

from tradeoffs.probes.profile import MIB


class PeakMemory:
    """The peak above the level at which it was made."""

    def __init__(self):
        _forget_peak()
        self.level = _resident_bytes()
        self.peak_before = _peak_bytes()

    def mib(self) -> float | None:
        """MiB at peak above the level; None where the system cannot tell."""
        peak = _peak_bytes()
        # An earlier peak that the system could not forget may hide this one.
        hidden = self.peak_before > self.level * 1.01 and peak <= self.peak_before
        if hidden:
            return None
        return max(peak - self.level, 0) / MIB


def _resident_bytes():
    import psutil

    return psutil.Process().memory_info().rss


def _peak_bytes():
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    # In bytes on macOS; Linux, where it is in KiB, has answered above.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _forget_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
