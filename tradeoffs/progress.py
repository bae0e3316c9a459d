"""Progress bars: on unless the caller or the environment says no."""

import os
import threading


def bar(progress: bool = True, **options):
    """A tqdm bar for terminals and notebooks.

    Args:
        progress: False shows none; True leaves it to `TQDM_DISABLE`, which
            tqdm itself overlooks in notebooks.
        options: of `tqdm.tqdm`.
    """
    from tqdm.auto import tqdm

    # Its own lock is a semaphore of the system, which a killed process leaves.
    tqdm.set_lock(threading.RLock())
    disabled = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    return tqdm(disable=disabled or not progress, **options)
