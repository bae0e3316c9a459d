"""What a model costs: in child processes, and in pieces here."""

import math
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchinfo
from torch import nn

import tradeoffs
from tradeoffs import MeasureError, Profile
from tradeoffs.probes import timing
from tradeoffs.probes.memory import PeakMemory
from tradeoffs.probes.prediction import MIB, CachingAllocator
from tradeoffs.probes.pytorch import Probe

QUICK = {"threads": 1, "max_seconds": 0.2, "progress": False}


def probe(model, *shape):
    return Probe(model, shape)


@pytest.fixture(scope="module")
def small_net_profile():
    return tradeoffs.measure("small_net", **QUICK)


def test_profile_has_every_quantity_that_a_cpu_can_give(small_net_profile):
    missing = {
        name for name, value in small_net_profile.to_dict().items() if value is None
    }
    assert missing == {
        "accelerator_allocated_mib",
        "accelerator_reserved_mib",
        "accelerator_process_mib",
    }
    assert not small_net_profile.notes


def test_profile_of_the_small_net_agrees_with_arithmetic(small_net_profile):
    profile = small_net_profile
    assert profile.num_parameters == profile.num_trainable_parameters == 518
    # Running mean and variance of five channels, and an int64 count of batches.
    assert profile.weight_bytes == 518 * 4 + 2 * 5 * 4 + 8
    assert profile.weight_bytes < profile.file_bytes < profile.weight_bytes + 2000
    assert profile.macs == 26 * 26 * 5 * 9 + 11 * 11 * 8 * 5 * 9 + 80
    assert profile.gradient_bytes == profile.optimizer_bytes == 518 * 4
    assert profile.epoch_seconds == pytest.approx(profile.train_step_ms * 60 / 16)
    assert profile.images_per_second == pytest.approx(
        10_000 / profile.inference_seconds
    )
    assert profile.latency_ms_p50 <= profile.latency_ms_p90 <= profile.latency_ms_p99
    assert profile.threads == 1
    assert 0 < profile.peak_inference_memory_mib < 500
    assert 0 < profile.peak_train_memory_mib < 500


def test_profile_is_a_table_a_row_and_a_file(small_net_profile, tmp_path):
    assert "518" in repr(small_net_profile)
    assert "not measured" in repr(small_net_profile)
    assert "<td>518</td>" in small_net_profile._repr_html_()
    row = small_net_profile.to_series()
    assert row.name == "small_net"
    assert row.num_parameters == 518
    path = small_net_profile.save(tmp_path / "profile.json")
    assert Profile.load(path) == small_net_profile
    path.write_text(path.read_text()[:100])
    with pytest.raises(ValueError, match="not a whole profile"):
        Profile.load(path)


def test_only_the_parts_asked_for_are_measured():
    profile = tradeoffs.measure("gap_cnn", parts="size", dropout=True, **QUICK)
    assert profile.num_parameters == 7_090
    assert profile.train_step_ms is None
    assert profile.peak_train_memory_mib is None
    assert profile.latency_ms_p50 is None
    assert profile.predicted_gpu_memory_mib is None


def test_own_module_and_own_function_reach_the_child():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(784, 10)

        def forward(self, images):
            return self.linear(images.flatten(1))

    for model in (Own(), Own, lambda: Own()):
        profile = tradeoffs.measure(model, (1, 28, 28), parts="size", **QUICK)
        assert profile.macs == 7_840
        assert profile.framework == "pytorch"


class Two(nn.Module):
    def forward(self, images):
        return images, images


class Killed(nn.Module):
    def forward(self, images):
        os.kill(os.getpid(), 9)


LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (LINEAR, {}, r"give input_shape, .* such as \(1, 28, 28\)"),
        (LINEAR, {"input_shape": (1, 9, 9)}, r"cannot take an input of shape \(1, 9"),
        (Two(), {"input_shape": (1, 28, 28)}, "returned a tuple"),
        (nn.Flatten(0), {"input_shape": (1, 28, 28)}, r"the shape \(1568,\) for 2"),
        (nn.Flatten(), {"input_shape": (28, 28)}, "nothing to train"),
        (Killed(), {"input_shape": (1, 28, 28)}, "killed by signal 9"),
        (
            LINEAR,
            {"input_shape": (1, 28, 28), "batch_size": 10**10},
            "not enough memory at batch size 10000000000",
        ),
        ("gap_cnn", {"dropuot": True}, "dropuot"),
        ("gap_cnn", {"device": "mps"}, "no device 'mps' here; there is cpu"),
        (len, {"input_shape": (1,)}, "TypeError"),
    ],
    ids=str,
)
def test_what_cannot_be_measured_is_one_clear_sentence(model, options, message):
    with pytest.raises(MeasureError, match=message) as caught:
        tradeoffs.measure(model, **options, **QUICK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("resnet", {}, "no model 'resnet'; the models are keras_mlp"),
        ("no.py:make", {}, "no file 'no.py'"),
        ("small_net", {"batch_size": 0}, "batch_size is 0"),
        ("small_net", {"threads": -1}, "threads is -1"),
        ("small_net", {"device": "tpu"}, "cpu, cuda, mps"),
        ("small_net", {"parts": "speed"}, "some of size"),
        ("small_net", {"parts": ()}, "some of size"),
        ("small_net", {"input_shape": (1, 0)}, "above 0"),
        ("small_net", {"framework": "keras"}, "not written in 'keras'"),
        ("small_net", {"max_seconds": math.nan}, "max_seconds is nan"),
    ],
)
def test_a_value_out_of_range_is_named(model, options, message):
    with pytest.raises(ValueError, match=message):
        tradeoffs.measure(model, **QUICK | options)


def test_what_is_no_model_is_a_type_error():
    for model in (3, None, np.zeros(3)):
        with pytest.raises(TypeError, match="must be a torch"):
            tradeoffs.measure(model, **QUICK)
    with pytest.raises(TypeError, match="named model only"):
        tradeoffs.measure(LINEAR, dropout=True, **QUICK)


def test_macs_of_the_pytorch_cnn_by_hand_and_by_torchinfo():
    model = tradeoffs.build("pytorch_cnn")
    by_hand = 24 * 24 * 10 * 25 + 8 * 8 * 20 * 250 + 320 * 50 + 50 * 10
    assert probe(model, 1, 28, 28).macs() == (by_hand, [])
    # torchinfo counts a bias as one more multiplication a position.
    biases = 24 * 24 * 10 + 8 * 8 * 20 + 50 + 10
    summary = torchinfo.summary(model, (1, 1, 28, 28), verbose=0)
    assert summary.total_mult_adds == by_hand + biases


def test_layer_that_the_counter_does_not_know_is_not_counted():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(28, 10)

        def forward(self, images):
            return self.lstm(images)[0][:, -1]

    assert probe(Reader(), 28, 28).macs() == (None, ["LSTM"])
    embedding = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert probe(embedding, 4).macs() == (12, [])


def test_kept_activations_are_exact():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    profile = tradeoffs.measure(
        model, (6,), batch_size=8, parts="training_memory", **QUICK
    )
    # The input, the rectified values, the log-probabilities, the labels, and
    # the weight that the mean divides by.
    assert profile.activation_bytes == 8 * (6 + 5 + 3) * 4 + 8 * 8 + 4


def test_peak_memory_sees_what_is_let_go():
    code = (
        "import numpy as np\n"
        "from tradeoffs.probes.memory import PeakMemory\n"
        "import psutil\n"
        "np.ones(40 * 2**20 // 8)\n"
        "peak = PeakMemory()\n"
        "np.ones(20 * 2**20 // 8)\n"
        "print(peak.mib())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 18 < float(shown.stdout) < 25


def test_peak_that_an_earlier_one_hides_is_not_measured(monkeypatch):
    from tradeoffs.probes import memory

    monkeypatch.setattr(memory, "_forget_peak", lambda: None)
    monkeypatch.setattr(memory, "_peak_bytes", lambda: 2**40)
    assert PeakMemory().mib() is None


def test_allocator_rounds_reuses_and_merges():
    allocator = CachingAllocator()
    first = allocator.allocate(1)
    assert allocator.allocated == 512
    assert allocator.peak_reserved == 2 * MIB
    second = allocator.allocate(MIB)
    assert allocator.peak_reserved == 2 * MIB
    allocator.free(first)
    allocator.free(second)
    third = allocator.allocate(MIB)  # fits only if nothing is left in pieces
    allocator.allocate(MIB)
    assert allocator.peak_reserved == 2 * MIB
    allocator.allocate(3 * MIB)
    assert allocator.peak_reserved == 22 * MIB
    allocator.allocate(17 * MIB)  # the rest of the 20
    assert allocator.peak_reserved == 22 * MIB
    allocator.allocate(33 * MIB)
    assert allocator.peak_reserved == (22 + 34) * MIB
    assert third.size == MIB


# Bytes a further sample, from batch 16 to 8,192, as the article measured them.
SLOPES = {
    "pytorch_cnn": (1247 - 539) * MIB / 8176,
    "keras_cnn": (5911 - 909) * MIB / 8176,
}


@pytest.mark.parametrize("name", SLOPES)
def test_predicted_memory_a_sample_is_within_6_percent_of_the_article(name):
    points = [((1, 28, 28), 16), ((1, 28, 28), 8192)]
    table = tradeoffs.predict_memory(name, points, track=True, progress=False)
    slope = table.reserved_mib.diff().iloc[-1] * MIB / 8176
    assert slope == pytest.approx(SLOPES[name], rel=0.06)
    # The tensors alone, by the replay and by PyTorch's own tracker.
    assert table.allocated_mib[1] == pytest.approx(table.tracked_mib[1], rel=0.01)


def test_named_model_is_predicted_for_any_picture_and_volume():
    points = [((1, 64, 64), 2), ((1, 32, 32, 32), 1)]
    for name in ("keras_cnn", "pytorch_cnn", "gap_cnn", "small_net", "keras_mlp"):
        table = tradeoffs.predict_memory(name, points, progress=False)
        assert (table.reserved_mib > 0).all()
    with pytest.raises(
        MeasureError, match=r"cannot take an input of shape \(1, 4, 4\)"
    ):
        tradeoffs.predict_memory("gap_cnn", [((1, 4, 4), 1)], progress=False)
    with pytest.raises(ValueError, match="no points"):
        tradeoffs.predict_memory("gap_cnn", [], progress=False)


def test_memory_of_own_module_is_predicted_as_that_of_the_named_one():
    points = [((1, 28, 28), 512)]
    named = tradeoffs.predict_memory("gap_cnn", points, track=True, progress=False)
    network = tradeoffs.build("gap_cnn")
    for model in (network, lambda: network):
        own = tradeoffs.predict_memory(model, points, track=True, progress=False)
        assert own.equals(named)


@pytest.mark.parametrize(
    "tick, windows",
    [(1.0, timing.MIN_WINDOWS), (0.125, timing.MIN_SECONDS / 0.125)],
    ids=["enough windows", "enough seconds"],
)
def test_windows_are_taken_until_their_median_is_stable(monkeypatch, tick, windows):
    clock = iter(np.cumsum([tick] * 1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    calls = []
    seconds = timing.steady_seconds(calls.append, max_calls=50, max_seconds=1e9)
    assert seconds == tick / calls[-1]
    assert len(calls) == 2 + 1 + windows
    assert timing.uncertainty([1.0, 1.0, 1.0]) == 0
    assert timing.uncertainty([1.0, 2.0, 3.0]) > timing.STABLE


def test_accelerator_s_memory_is_what_framework_and_driver_say(monkeypatch):
    """No GPU is needed: the documented functions answer in its place."""
    import pynvml

    from tradeoffs.probes import accelerator

    process = SimpleNamespace(pid=os.getpid(), usedGpuMemory=900 * MIB)
    other = SimpleNamespace(pid=1, usedGpuMemory=5 * MIB)
    answers = {
        (torch.cuda, "max_memory_allocated"): 300 * MIB,
        (torch.cuda, "max_memory_reserved"): 400 * MIB,
        (torch.cuda, "current_device"): 0,
        (torch.mps, "current_allocated_memory"): 30 * MIB,
        (torch.mps, "driver_allocated_memory"): 40 * MIB,
        (pynvml, "nvmlInit"): None,
        (pynvml, "nvmlShutdown"): None,
        (pynvml, "nvmlDeviceGetHandleByIndex"): "handle",
        (pynvml, "nvmlDeviceGetComputeRunningProcesses"): [other, process],
    }
    for (module, name), answer in answers.items():
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    assert accelerator.pytorch_memory("cpu") == {}
    assert accelerator.pytorch_memory("cuda") == {
        "accelerator_allocated_mib": 300,
        "accelerator_reserved_mib": 400,
        "accelerator_process_mib": 900,
    }
    assert accelerator.pytorch_memory("mps") == {
        "accelerator_allocated_mib": 30,
        "accelerator_reserved_mib": 40,
    }
    other.pid = process.pid = 1  # as in a container that hides process numbers
    assert accelerator.cuda_process_memory(0) == {}


def run_measure(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tradeoffs", "measure", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def test_command_measures_a_function_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nprint('noise')\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    path = tmp_path / "profile.json"
    done = run_measure(
        f"{file}:make", "--input-shape", "1,28,28", "--threads", 1, "--json", path
    )
    assert done.returncode == 0, done.stderr
    assert "7,850" in done.stdout
    assert Profile.load(path).macs == 7_840
    done = run_measure(f"{file}:absent", "--input-shape", "1,28,28")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("mine.py has no function 'absent'")
    assert "Traceback" not in done.stderr
