"""Networks as files: what they answer, cost, and need on a device."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers import Calling
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import tradeoffs
from tradeoffs import (
    Dataset,
    ExportError,
    MeasureError,
    Profile,
    device,
    measure_here,
)
from tradeoffs.exporting import answers
from tradeoffs.probes import files
from tradeoffs.probes.profile import OF_BOTH, OF_FILES
from tradeoffs.training.pytorch import images_to_tensor
from tradeoffs.weights import KEPT_SEED

IMAGES = np.random.default_rng(0).normal(size=(64, 1, 28, 28)).astype(np.float32)


def tiny():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory):
    return tradeoffs.export(tiny(), tmp_path_factory.mktemp("files") / "tiny.onnx")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """No time is looked at here, so that none needs a quiet machine."""
    monkeypatch.setattr(files, "wait_for_quiet", lambda seconds: None)


def test_a_file_answers_as_the_network_whatever_the_batch(tmp_path):
    network = tradeoffs.build("small_net", seed=0)
    network[0].eval()  # each layer keeps its mode
    path = tradeoffs.export(network, tmp_path / "net.onnx")
    assert [layer.training for layer in network][:2] == [False, True]
    assert network.training
    with torch.inference_mode():
        expected = network.eval()(torch.tensor(IMAGES)).numpy()
    for count in (1, 3, 64):
        found = answers(path, IMAGES[:count])
        assert np.abs(found - expected[:count]).max() < 1e-4
    assert b".py" not in path.read_bytes()  # nothing of where it was written


def test_int8_is_a_quarter_of_a_large_file_and_near_the_network(tmp_path, mnist):
    run = tradeoffs.run("gap_cnn", seed=KEPT_SEED)
    paths = [
        tradeoffs.export(run, tmp_path / f"{precision}.onnx", precision=precision)
        for precision in ("float32", "int8")
    ]
    images = (mnist.test_images[:1000, None] / 255 - mnist.pixels[0]) / mnist.pixels[1]
    exact, rounded = (answers(p, images.astype(np.float32)).argmax(1) for p in paths)
    assert np.array_equal(exact, run.test_predictions[:1000])
    assert np.mean(exact == rounded) > 0.99
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 500), nn.Linear(500, 10))
    sizes = [
        tradeoffs.export(network, p, precision=q, calibration=IMAGES).stat().st_size
        for p, q in zip(paths, ("float32", "int8"), strict=True)
    ]
    assert sizes[0] / sizes[1] == pytest.approx(4, rel=0.05)


def test_int8_of_operators_whose_shapes_the_runtime_does_not_infer(tmp_path):
    layers = nn.Conv2d(1, 8, 5), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    options = {"precision": "int8", "calibration": IMAGES}
    path = tradeoffs.export(nn.Sequential(*layers), tmp_path / "net.onnx", **options)
    assert answers(path, np.ones((3, 1, 28, 28), np.float32)).shape == (3, 10)


def test_int8_is_calibrated_on_all_classes_of_sorted_images(tmp_path):
    labels = np.repeat(np.arange(4), 1_000)
    images = np.zeros((4_000, 4, 4), np.uint8)
    images[:] = 3 * 4 ** labels[:, None, None]  # each class is brighter than the last
    data = Dataset("sorted", images, labels, images, labels)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 4))
    path = tradeoffs.export(
        network, tmp_path / "net.onnx", precision="int8", calibration=data
    )
    pixels = images_to_tensor(images[-200:], "standardized", data.pixels)
    with torch.inference_mode():
        exact = network(pixels).numpy()
    assert answers(path, pixels.numpy()) == pytest.approx(exact, abs=0.1)


def test_infinite_answers_of_the_network_are_the_files_too(tmp_path):
    masked = Calling(
        lambda m, x: m.head(x).masked_fill(m.mask, -torch.inf), head=nn.Linear(4, 3)
    )
    masked.register_buffer("mask", torch.tensor([False, True, False]))
    path = tradeoffs.export(masked, tmp_path / "net.onnx", input_shape=(4,))
    assert np.isneginf(answers(path, IMAGES[:8, 0, 0, :4])[:, 1]).all()


class Strange(nn.Module):
    """An operator that no runtime has."""

    def forward(self, x):
        return torch.ops.tests.strange(x)


class Liar(nn.Module):
    """Another function in the file than in the network."""

    def forward(self, x):
        return 2 * x if torch.compiler.is_exporting() else x


def boxes_and_scores(self, x):
    return torch.cat([640 * x[:, :1], x[:, 1:].sigmoid()], 1)


@torch.library.custom_op("tests::strange", mutates_args=())
def strange(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@strange.register_fake
def _(x):
    return torch.empty_like(x)


@pytest.mark.parametrize(
    ("network", "path", "options", "said"),
    [
        (tiny(), "net.tflite", {}, r"a file of a pytorch network ends in \.onnx"),
        (tiny(), "net.onnx", {"precision": "int4"}, "one of float32, float16, int8"),
        (tiny(), "net.onnx", {"precision": "float16"}, "give float32 or int8"),
        (tiny(), "net.onnx", {"precision": "int8"}, "int8 needs calibration"),
        (tradeoffs.run("gap_cnn"), "net.onnx", {"input_shape": (1, 8, 8)}, "its own"),
        (tiny(), "net.onnx", {"calibration": IMAGES[:0]}, "at least one input"),
        (tiny(), "net.onnx", {"calibration": IMAGES * np.nan}, "finite numbers"),
        (tiny(), "net.onnx", {"input_shape": (3, 5)}, "cannot be exported"),
        (tiny(), "net.onnx", {"input_shape": (-4,)}, "input_shape is -4"),
        (tiny(), "net.onnx", {"input_shape": ((4,), (4,))}, "networks of one input"),
        (tiny().bfloat16(), "net.onnx", {}, "export it in float32"),
        (nn.LSTM(28, 5), "net.onnx", {"input_shape": (2, 28)}, "returned a tuple"),
        (Calling(lambda _, x: x * torch.nan), "net.onnx", {}, "answers NaN"),
        (nn.Flatten(0), "net.onnx", {}, r"shape \(200704,\) for 256 inputs"),
        (
            Calling(lambda self, x: x.reshape(len(x), 784)),
            *("net.onnx", {}, "batches of 2 alone; where the network has len"),
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(784, 2), Calling(boxes_and_scores)),
            *("net.onnx", {"precision": "int8", "calibration": IMAGES}, "rounding is"),
        ),
        (
            nn.Sequential(Strange(), *tiny()),
            "net.onnx",
            {},
            "the operator tests.strange cannot be exported",
        ),
        (
            nn.Sequential(nn.Flatten(), Liar(), nn.Linear(784, 10)),
            "net.onnx",
            {},
            r"layer 2 is the first that does: Liar\(\)",
        ),
    ],
)
def test_what_cannot_be_exported_is_said_and_leaves_no_file(
    tmp_path, network, path, options, said
):
    with pytest.raises((ValueError, ExportError), match=said):
        tradeoffs.export(network, tmp_path / path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"path": None}, "path is None; it must be the name of a file"),
        ({"input_shape": 4}, "input_shape is 4; it must be whole numbers"),
        ({"calibration": "x"}, "calibration cannot be .* float32: .* float: .*'x'"),
        ({"calibration": torch.ones(2, 4, requires_grad=True)}, "requires grad"),
    ],
)
def test_what_is_no_argument_of_an_export_is_said(tmp_path, options, said):
    with pytest.raises(TypeError, match=said):
        tradeoffs.export(tiny(), **{"path": tmp_path / "net.onnx"} | options)


@pytest.mark.parametrize(
    ("network", "given", "expected"),
    [
        (nn.Linear(4, 1).half(), np.ones((3, 4), np.float16), 4),
        (nn.Linear(4, 1).double(), np.ones((3, 4)), 4),
        (nn.DataParallel(nn.Linear(4, 1)), np.ones((3, 4), np.float32), 4),
        (nn.Embedding(9, 1), np.full((3, 4), 8), 1),
    ],
)
def test_a_file_takes_what_its_network_takes(tmp_path, network, given, expected):
    for values in network.parameters():
        nn.init.constant_(values, values.dim() - 1)  # weights 1, biases 0
    path = tradeoffs.export(network, tmp_path / "net.ONNX", input_shape=(4,))
    found = answers(path, given)
    assert found.dtype == (given.dtype if given.dtype.kind == "f" else np.float32)
    assert len(found) == 3 and np.all(found == expected)


def test_profile_of_a_file_has_all_of_a_file_and_nothing_of_training(tiny_file):
    profile = tradeoffs.measure(str(tiny_file))
    assert (profile.name, profile.framework) == ("tiny", "onnxruntime")
    assert profile.threads == 1
    assert profile.file_bytes == tiny_file.stat().st_size > 7850 * 4
    values = profile.to_dict()
    missing = {name for name in (*OF_BOTH, *OF_FILES) if values[name] is None}
    assert missing == {"num_parameters", "test_accuracy"}
    assert profile.train_step_ms is profile.peak_train_memory_mib is None
    assert "training" not in repr(profile)
    assert profile.load_seconds < profile.startup_seconds
    assert profile.runtime_bytes > 2**20
    assert tradeoffs.choose([profile], max_file_mib=1, by="file_bytes").best == "tiny"
    better = dataclasses.replace(profile, name="better", test_accuracy=0.99)
    both = [dataclasses.replace(profile, test_accuracy=0.9), better]
    for found in (
        tradeoffs.choose(both, by="test_accuracy").fitting,
        tradeoffs.pareto(tradeoffs.cost_table(both), over=["test_accuracy"]),
    ):
        assert found.index[0].startswith("better")


def test_file_that_takes_few_inputs_at_once_is_measured(tmp_path):
    """As of an operator inside that fixes their number, or for want of memory."""
    given = {"operator": "Reshape", "weight": np.array([1, 4])}
    written(tmp_path / "one.onnx", "FLOAT", [["n", 4]], **given)
    profile = tradeoffs.measure(tmp_path / "one.onnx")
    assert profile.latency_ms_p50 > 0
    assert profile.inference_batch_size == 1
    assert profile.notes[0].startswith("1,000 inputs at once cannot be measured: ")


def test_what_is_no_model_file_is_said(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        tradeoffs.measure(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(MeasureError, match=r"net\.onnx cannot be measured: .*Protobuf"):
        tradeoffs.measure(tmp_path / "net.onnx")
    for options in ({"device": "cuda"}, {"batch_size": 32}, {"parts": "size"}):
        with pytest.raises(ValueError, match="takes no option but threads"):
            tradeoffs.measure(tmp_path / "net.onnx", **options)
    with pytest.raises(ValueError, match="threads is 0; it must be from 1 to 1024"):
        tradeoffs.measure(tmp_path / "net.onnx", threads=0)


def written(path, kind, shapes, outputs=1, operator="MatMul", weight=None, **options):
    """An ONNX file: each output is the first input times ones, [4, 3]."""
    kinds, versions = TensorProto.DataType.Value(kind), {"ir_version": 9}
    if weight is None:
        weight = np.ones((4, 3), helper.tensor_dtype_to_np_dtype(kinds))
    info = helper.make_tensor_value_info
    inputs = [info(f"x{number}", kinds, shape) for number, shape in enumerate(shapes)]
    answers = [info(f"y{number}", kinds, None) for number in range(outputs)]
    nodes = [helper.make_node(operator, ["x0", "w"], [one.name]) for one in answers]
    weights = [numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph(nodes, "own", inputs, answers, weights)
    versions["opset_imports"] = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, **versions)
    model.metadata_props.add(key="location", value="no file")
    onnx.save(model, path, **options)


BESIDE = {"save_as_external_data": True, "location": "own.data", "size_threshold": 0}


@pytest.mark.parametrize(
    ("kind", "shape", "options", "size", "at_once"),
    [
        ("FLOAT16", ["n", 4], {}, 12 * 2, 1000),
        ("DOUBLE", [None, 4], {"outputs": 2}, 12 * 8, 1000),
        ("FLOAT", [8, 4], {}, 12 * 4, 8),
        ("FLOAT", ["n", 5, 4], BESIDE, 12 * 4, 1000),
    ],
)
def test_a_file_of_ones_own_is_measured_as_it_is(
    tmp_path, kind, shape, options, size, at_once
):
    written(tmp_path / "my-own-int8.ONNX", kind, [shape], **options)
    profile = tradeoffs.measure(tmp_path / "my-own-int8.ONNX")
    assert (profile.name, profile.precision) == ("my-own", "int8")
    assert (profile.input_shape, profile.threads) == (tuple(shape[1:]), 1)
    assert profile.inference_batch_size == at_once
    assert ("latency is of 8 inputs at once" in profile.notes) is (at_once == 8)
    assert profile.macs is None and "are not counted in a file" in profile.notes[-1]
    content = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < profile.file_bytes == content < size + 250


@pytest.mark.parametrize(
    ("kind", "shapes", "said"),
    [
        ("FLOAT", [["n", 4], ["n", 3]], r"\('x0', 'float', \['n', 4\]\), \('x1', "),
        ("FLOAT", [["n", "h", 4]], r"\['n', 'h', 4\]\)\]; it must be one NumPy array"),
        ("FLOAT", [None], r"'float', \[\]\)"),
    ],
)
def test_a_file_of_other_inputs_is_said(tmp_path, kind, shapes, said):
    written(tmp_path / "own.onnx", kind, shapes)
    with pytest.raises(MeasureError, match=f"it takes .*{said}.*only n free$"):
        tradeoffs.measure(tmp_path / "own.onnx")


def test_a_device_needs_python_numpy_and_one_runtime_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "exported_runs", lambda: [tradeoffs.run("small_net")])
    folder = device.write_folder(tmp_path / "folder", progress=False)
    assert len(Path(measure_here.__file__).read_text().splitlines()) <= 80
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    (packages,) = bare.glob("lib/python*/site-packages")
    site = Path(np.__file__).parent.parent
    for name in ("numpy", "onnxruntime"):
        for found in site.glob(f"{name}*"):
            (packages / found.name).symlink_to(found)
    done = subprocess.run(
        [bare / "bin/python", "measure_here.py", "small_net-int8.onnx"],
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "mine.json").write_text(done.stdout)
    profile = Profile.load(tmp_path / "mine.json")
    assert profile.test_accuracy == pytest.approx(0.94, abs=0.02)
    assert (profile.name, profile.precision) == ("small_net", "int8")
    table = tradeoffs.cost_table([profile])
    assert tradeoffs.choose(table, min_accuracy=0.9, max_latency_ms=1000).best
