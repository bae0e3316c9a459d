"""Images and labels: `Dataset`; MNIST and Fashion-MNIST."""

import functools
import math
import re
from dataclasses import dataclass

import numpy as np

from tradeoffs.checks import array_view, number, whole_number
from tradeoffs.fetching import SOURCES, fetch, read_idx

# Mean and deviation of MNIST's pixels, in 0...1, as in the examples of PyTorch.
MNIST_PIXELS = (0.1307, 0.3081)
# The shapes that arrays may have, by their number of axes.
_IMAGES = {3: "[n, height, width]", 4: "[n, height, width, channels]"}
_LABELS = {1: "one whole number an image, [n]"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to test on: read-only views.

    Attributes:
        name: "mnist" or "fashion_mnist", and what was done to it: `-head<n>-<m>` of
            its first images, `-validation<n>-seed<s>` of a split, `-crop<n>`,
            `-pool<n>` and `-pca<n>` of smaller inputs.
        train_images, test_images: uint8 or float32; grey [n, h, w], or
            [n, h, w, channels].
        train_labels, test_labels: whole numbers from 0 [n].
        pixels: mean and deviation of the training pixels, uint8 scaled to 0...1; by
            default computed from them.

    Raises:
        TypeError: an array is of another type.
        ValueError: an array is empty, of another shape or not finite, or images
            and labels differ in number, or the images of the parts in kind.

    >>> import numpy as np
    >>> import tradeoffs
    >>> images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 10
    >>> tradeoffs.Dataset("mine", images[:15], labels[:15], images[15:], labels[15:])
    Dataset('mine', train=(15, 8, 8), test=(5, 8, 8))
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    pixels: tuple[float, float] | None = None

    def __post_init__(self):
        for part in ("train", "test"):
            images = self._view(f"{part}_images", _IMAGES, np.uint8, np.float32)
            labels = self._view(f"{part}_labels", _LABELS, np.integer)
            if len(images) != len(labels):
                raise ValueError(
                    f"{len(images)} {part} images, but {len(labels)} labels"
                )
            if not images.size:
                raise ValueError(f"there are no {part} images")
            if labels.min() < 0:
                raise ValueError(f"{part}_labels has {labels.min()}; labels start at 0")
            if images.dtype != np.uint8 and not np.isfinite(images).all():
                raise ValueError(f"{part}_images has values that are not finite")
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                f"train_images are {self.train_images.shape[1:]} each, and test_images "
                f"{self.test_images.shape[1:]}; they must be of one shape"
            )
        parts = self.train_images, self.test_images
        floats = [part for part in parts if part.dtype != np.uint8]
        if len(floats) == 1 and not 0 <= floats[0].min() <= floats[0].max() <= 1:
            kinds = f"train_images are {parts[0].dtype}, test_images {parts[1].dtype}"
            raise ValueError(f"{kinds}; beside uint8, floats are shares from 0 to 1")
        if self.pixels is None:
            object.__setattr__(self, "pixels", _mean_and_deviation(self.train_images))
        said = f"pixels is {self.pixels}; "
        if np.shape(self.pixels) != (2,):
            raise ValueError(f"{said}it must be a mean and a deviation")
        mean, deviation = (number("pixels", value) for value in self.pixels)
        if deviation <= 0 or not (floats or 0 <= mean <= 1):
            raise ValueError(f"{said}a deviation is above 0, uint8 are shares of 255")

    def _view(self, name, shapes, *kinds):
        view = array_view(name, getattr(self, name), shapes, *kinds)
        object.__setattr__(self, name, view)
        return view

    def __repr__(self):
        shapes = f"train={self.train_images.shape}, test={self.test_images.shape}"
        return f"Dataset({self.name!r}, {shapes})"

    def validation_split(self, size: int = 10_000, seed: int = 0) -> "Dataset":
        """Hold back training images, so that choosing never sees the test set.

        Args:
            size: images held back, the same share of every class.
            seed: of the draw.

        Returns:
            A data set whose test part is the held-back training images. The
            test images of this one are not in it.

        Raises:
            ValueError: `size` leaves one of the parts without every class.
        """
        from sklearn.model_selection import train_test_split

        images, labels = self.train_images, self.train_labels
        options = {"test_size": whole_number("size", size), "stratify": labels}
        options["random_state"] = whole_number("seed", seed, least=0, most=2**32 - 1)
        try:
            kept, held = train_test_split(np.arange(len(labels)), **options)
            fewest = min(len(np.unique(labels[part])) for part in (kept, held))
        except ValueError:  # too few images for a split
            fewest = 0
        if fewest < len(np.unique(labels)):
            raise ValueError(f"size is {size}; it leaves a part without every class")
        arrays = images[kept], labels[kept], images[held], labels[held]
        return Dataset(f"{self.name}-validation{size}-seed{seed}", *arrays, self.pixels)

    def cropped(self, border: int) -> "Dataset":
        """Images without so many pixels at each side.

        Raises:
            TypeError, ValueError: not a whole number above 0, or nothing is left.
        """
        border = whole_number("border", border)
        if 2 * border >= min(self.train_images.shape[1:3]):
            raise ValueError(f"border is {border}; nothing is left of the images")
        kept = slice(border, -border)
        parts = (part[:, kept, kept] for part in (self.train_images, self.test_images))
        return self._with_images(f"crop{border}", *parts)

    def pooled(self, window: int) -> "Dataset":
        """Images of the means of windows of so many pixels a side, in float32.

        Raises:
            TypeError, ValueError: not a whole number above 0 that divides the sides.
        """
        height, width = self.train_images.shape[1:3]
        window = whole_number("window", window)
        if height % window or width % window:
            raise ValueError(f"window is {window}; it must divide {height} x {width}")
        windows = height // window, window, width // window, window

        def means(images):
            parts = images.reshape(len(images), *windows, *images.shape[3:])
            return parts.mean((2, 4), dtype=np.float32) / np.float32(_white(images))

        parts = map(means, (self.train_images, self.test_images))
        return self._with_images(f"pool{window}", *parts)

    def components(self, count: int) -> "Dataset":
        """The first principal components, found on the training images alone.

        Each "image" is one row of them, float32 [n, 1, count].

        Raises:
            TypeError, ValueError: not a whole number above 0, or more than there are.
        """
        from sklearn.decomposition import PCA

        most = min(len(self.train_images), math.prod(self.train_images.shape[1:]))
        count = whole_number("count", count, most=most)
        flat = [
            part.reshape(len(part), -1) / np.float32(_white(part))
            for part in (self.train_images, self.test_images)
        ]
        if self.train_images.dtype != np.uint8:  # may all be far from zero
            mean = flat[0].mean(0, dtype=np.float64)
            flat = [(part - mean).astype(np.float32) for part in flat]
        found = PCA(count, svd_solver="covariance_eigh").fit(flat[0])
        parts = (found.transform(p)[:, None].astype(np.float32) for p in flat)
        return self._with_images(f"pca{count}", *parts)

    def _with_images(self, made, train, test):
        labels = self.train_labels, self.test_labels
        return Dataset(f"{self.name}-{made}", train, labels[0], test, labels[1])

    def head(self, num_train: int, num_test: int) -> "Dataset":
        """The first images of each part, for a quick look."""
        num_train = whole_number("num_train", num_train)
        num_test = whole_number("num_test", num_test)
        train = self.train_images[:num_train], self.train_labels[:num_train]
        test = self.test_images[:num_test], self.test_labels[:num_test]
        name = f"{self.name}-head{len(train[0])}-{len(test[0])}"
        return Dataset(name, *train, *test, self.pixels)


def mnist() -> Dataset:
    """Handwritten digits: 60,000 to train on, 10,000 to test; fetched on first use.

    Raises:
        DataError: the files cannot be had; the message says what to do.

    >>> import tradeoffs
    >>> tradeoffs.mnist()
    Dataset('mnist', train=(60000, 28, 28), test=(10000, 28, 28))
    """
    return dataset_named("mnist")


def fashion_mnist() -> Dataset:
    """Pieces of clothing, as many and as large as MNIST's digits, but harder.

    Source: Xiao, Rasul and Vollgraf, arXiv:1708.07747. From 0 on the classes are
    T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, boot.

    Raises:
        DataError: the files cannot be had; the message says what to do.

    >>> import tradeoffs
    >>> tradeoffs.fashion_mnist().train_labels[:5].tolist()
    [9, 0, 0, 3, 0]
    """
    return dataset_named("fashion_mnist")


@functools.cache
def dataset_named(name: str) -> Dataset:
    """The data set that a record names: one of `SOURCES`, or what is made of it.

    Raises:
        ValueError: there is none of that name; the message lists the names.
        DataError: the files cannot be had; the message says what to do.

    >>> dataset_named("mnist-head600-10000")
    Dataset('mnist-head600-10000', train=(600, 28, 28), test=(10000, 28, 28))
    """
    whole, method, sizes = check_name(name)
    if method:
        found = getattr(dataset_named(whole), method)(*sizes)
    else:
        folder = fetch(name)
        arrays = (read_idx(folder / file) for file in SOURCES[name].md5)
        found = Dataset(name, *arrays, MNIST_PIXELS if name == "mnist" else None)
    if found.name != name:
        raise ValueError(f"dataset is {name!r}; all that there is is {found.name}")
    return found


def test_labels(name: str) -> np.ndarray:
    """Those of `dataset_named`, without making its images."""
    whole, method, sizes = check_name(name)
    labels = dataset_named(whole).test_labels
    return labels[: sizes[1]] if method == "head" else labels


# The forms of a name, and the method that makes such a data set of the whole one.
_FORMS = {
    r"(\w+)": None,
    r"(\w+)-head([1-9]\d*)-([1-9]\d*)": "head",
    r"(\w+)-crop([1-9]\d*)": "cropped",
    r"(\w+)-pool([1-9]\d*)": "pooled",
    r"(\w+)-pca([1-9]\d*)": "components",
}


def check_name(name: str) -> tuple[str, str | None, list[int]]:
    """The whole data set that a name starts with, and how the named one is made of it.

    Returns:
        The whole one's name; a method of `Dataset`, or None; and its arguments.

    Raises:
        ValueError: `dataset_named` does not know it.
    """
    for form, method in _FORMS.items():
        found = re.fullmatch(form, str(name))
        if found and found[1] in SOURCES:
            whole, *sizes = found.groups()
            return whole, method, [int(size) for size in sizes]
    raise ValueError(
        f"dataset is {name!r}; it must be one of {', '.join(SOURCES)}, or made of "
        "one, such as mnist-head600-10000, mnist-crop4, mnist-pool2 or mnist-pca50"
    )


def _mean_and_deviation(images):
    """Of all pixels, uint8 scaled to 0...1, by exact sums; a deviation of 0 is 1."""
    if images.dtype != np.uint8:
        mean, deviation = images.mean(dtype=np.float64), images.std(dtype=np.float64)
        return float(mean), float(deviation) or 1.0
    n, total = images.size, int(images.sum(dtype=np.int64))
    squares = int(np.square(images, dtype=np.uint16).sum(dtype=np.int64))
    return total / n / 255, math.sqrt(n * squares - total**2) / n / 255 or 1.0


def _white(images):
    """What 1 is in these images: uint8 go to 255, float32 are shares."""
    return 255 if images.dtype == np.uint8 else 1
