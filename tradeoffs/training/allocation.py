"""Where the memory of a training step comes from."""

import ctypes
import functools
import sys


@functools.cache
def keep_freed_memory() -> None:
    """Let this process keep the memory that each step frees.

    By default glibc hands large blocks back to the system at once, and the
    next step waits for each of their pages again: a fifth of its time.
    """
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_..., in malloc.h
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    if set_option:
        set_option(mmap_threshold, 32 * 2**20)  # the most that it takes
        set_option(trim_threshold, 2**30)
