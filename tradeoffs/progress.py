"""Progress bars: on unless the caller or the environment says no."""

from __future__ import annotations


def bar(progress: bool = True, **options):
    """A tqdm bar for terminals and notebooks.

    Args:
        progress: False shows none; True leaves it to `TQDM_DISABLE`.
        options: of `tqdm.tqdm`.
    """
    from tqdm.auto import tqdm

    # An explicit `disable=False` would overrule the environment.
    return tqdm(**options) if progress else tqdm(disable=True, **options)
