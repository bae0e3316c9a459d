"""Which images are in which batch."""

import numpy as np

STEPS_AT_ONCE = 50  # between two looks at the loss and the progress bar


def chunks(order, batch_size: int):
    """Index arrays [..., steps, batch] of an order [..., n].

    A smaller last batch comes by itself; one image alone, which a batch norm cannot
    take, joins the batch before it.
    """
    *networks, num_images = order.shape
    whole = num_images // batch_size * batch_size
    if num_images - whole == 1 and whole:
        whole -= batch_size
    batches = order[..., :whole].reshape(*networks, -1, batch_size)
    for start in range(0, batches.shape[-2], STEPS_AT_ONCE):
        yield batches[..., start : start + STEPS_AT_ONCE, :]
    if whole < num_images:
        yield order[..., None, whole:]


def batch_sizes(num_images: int, batch_size: int) -> list[int]:
    """Of the batches that so many images come in; see `chunks`."""
    parts = chunks(np.arange(num_images), batch_size)
    return [len(batch) for part in parts for batch in part]
