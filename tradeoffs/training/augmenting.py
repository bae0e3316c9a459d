"""Moving and bending training images on the fly, in the batch.

torchvision's transforms draw once a call, for a whole batch; here each image has
numbers of its own.
"""

import math

import numpy as np
import torch
from torch.nn import functional

KNOTS = 5  # a side of the grid of an elastic deformation
STREAM = 1  # a run's numbers beside those of the order of its images


class Augmenter:
    """Changes the images of K networks by numbers from a generator each.

    Numbers are drawn on the CPU and in the order of the steps, so that a network has
    the same ones alone, side by side and on any device.

    Args:
        augmentation: an `Augmentation`.
        seeds: of the K runs.
        images: that will be trained on, [n, channels, h, w].
    """

    def __init__(self, augmentation, seeds, images):
        self.by = augmentation
        # In half precision there would be too few places for a pixel.
        self.like = images[:1].to(torch.promote_types(images.dtype, torch.float32))
        self.generators = [np.random.default_rng((seed, STREAM)) for seed in seeds]
        knots = KNOTS**2 if augmentation.elastic else 0
        self.size = 4 + 2 * knots
        if knots:  # how far each pixel follows each knot
            each = torch.eye(knots).view(knots, 1, KNOTS, KNOTS)
            options = {"mode": "bicubic", "align_corners": True}
            pull = functional.interpolate(each, images.shape[2:], **options)
            self.pull = pull.flatten(1).to(self.like)

    def draw(self, steps: int, batch: int):
        """Numbers from -1 to 1 for the images of steps to come, [K, steps, b, m]."""
        shape = steps, batch, self.size
        drawn = np.stack([g.uniform(-1, 1, shape) for g in self.generators])
        return torch.from_numpy(drawn).to(self.like)

    def __call__(self, images, drawn):
        """Images [n, channels, h, w], each changed by its numbers drawn, [n, m]."""
        height, width = images.shape[2:]
        pixel = drawn.new_tensor([2 / width, 2 / height])  # the image is 2 x 2
        shift = self.by.shift * pixel * drawn[:, :2]
        angle = math.radians(self.by.rotation) * drawn[:, 2]
        size = 1 + self.by.scaling * drawn[:, 3]
        cosine, sine = angle.cos() / size, angle.sin() / size
        across = torch.stack([cosine, -sine * height / width, shift[:, 0]], 1)
        down = torch.stack([sine * width / height, cosine, shift[:, 1]], 1)
        where = functional.affine_grid(
            torch.stack([across, down], 1), images.shape, align_corners=False
        )
        if self.by.elastic:
            bent = drawn[:, 4:].unflatten(1, (2, -1)) @ self.pull
            bent = bent.unflatten(2, (height, width)).permute(0, 2, 3, 1)
            where = where + self.by.elastic * pixel * bent
        moved = functional.grid_sample(
            images.to(where), where, padding_mode="border", align_corners=False
        )
        return moved.to(images.dtype)
