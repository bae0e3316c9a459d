"""What a model costs: in processes of their own, and in pieces here."""

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import Calling
from torch import nn

import tradeoffs
from tradeoffs import ARTICLE, MeasureError, Profile, RecordError, recording
from tradeoffs.probes import memory, timing
from tradeoffs.probes.prediction import MIB, CachingAllocator
from tradeoffs.probes.profile import OF_FILES, median_profile
from tradeoffs.processes import in_fresh_process
from tradeoffs.records import results_folder

QUICK = {"threads": 1, "max_seconds": 0.2, "progress": False}
LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
PICTURE = {"input_shape": (1, 28, 28)}
TRAINING = PICTURE | {"parts": "training_time"}
ACCELERATOR = {f"accelerator_{n}_mib" for n in ("allocated", "reserved", "process")}


@pytest.fixture(scope="module")
def small_net_profile():
    return tradeoffs.measure("small_net", **QUICK)


def test_profile_of_the_small_net_agrees_with_arithmetic(small_net_profile):
    profile, values = small_net_profile, small_net_profile.to_dict()
    # All that a CPU can give, of a network that is no file.
    missing = {name for name, value in values.items() if value is None}
    assert missing == ACCELERATOR | {"precision", *OF_FILES}
    (layouts,) = [n for n in profile.notes if not n.startswith(timing.BUSY)]
    assert layouts.startswith("inference in the faster layout here: ")
    assert profile.num_parameters == profile.num_trainable_parameters == 518
    # Running mean and variance of five channels, and an int64 count of batches.
    assert profile.weight_bytes == 518 * 4 + 2 * 5 * 4 + 8
    assert profile.weight_bytes < profile.file_bytes < profile.weight_bytes + 2000
    assert profile.macs == 26 * 26 * 5 * 9 + 11 * 11 * 8 * 5 * 9 + 80
    assert profile.gradient_bytes == profile.optimizer_bytes == 518 * 4
    assert profile.epoch_seconds == pytest.approx(profile.train_step_ms * 60 / 16)
    assert profile.images_per_second * profile.inference_seconds == pytest.approx(1e4)
    for name, (lowest, highest) in profile.spread.items():
        assert 0 < lowest <= getattr(profile, name) <= highest
    assert set(profile.spread) >= {"train_step_ms", "epoch_seconds", "latency_ms_p50"}
    assert profile.latency_ms_p50 <= profile.latency_ms_p90 <= profile.latency_ms_p99
    assert 0 < profile.peak_inference_memory_mib < 500
    assert 0 < profile.peak_train_memory_mib < 500


def test_profile_is_a_table_a_row_and_a_file(small_net_profile, tmp_path):
    assert "not measured" in repr(small_net_profile)
    assert "<td>518</td>" in small_net_profile._repr_html_()
    row = small_net_profile.to_series()
    assert (row.name, row.num_parameters) == ("small_net", 518)
    path = small_net_profile.save(tmp_path / "profile.json")
    assert Profile.load(path) == small_net_profile
    for recorded in (results_folder() / "profiles").glob("*.json"):
        Profile.load(recorded).save(path)
        assert path.read_bytes() == recorded.read_bytes()
    whole = path.read_text()
    for broken in (whole[:100], re.sub('"macs": .*?,', '"macs": "many",', whole)):
        path.write_text(broken)
        with pytest.raises(ValueError, match="not a whole profile"):
            Profile.load(path)


def test_only_the_parts_asked_for_are_measured_of_the_variant_asked_for(tmp_path):
    filters = {"filters": (5, 10)}
    profile = tradeoffs.measure("gap_cnn", parts="size", **filters, **QUICK)
    assert profile.num_parameters == 2_300
    others = ("train_step_ms", "peak_train_memory_mib", "latency_ms_p50")
    assert {getattr(profile, name) for name in others} == {None}
    of_run = tradeoffs.Experiment("gap_cnn", "pytorch", ARTICLE, 0, filters)
    assert profile.variant == of_run.variant == "gap_cnn,filters=5x10"
    assert Profile.load(profile.save(tmp_path / "profile.json")) == profile


def test_own_module_and_own_function_reach_the_process():
    class Own(nn.Linear):
        def forward(self, images):
            return super().forward(images.flatten(1))

    for model in (Own(784, 10), lambda: Own(784, 10)):
        profile = tradeoffs.measure(model, (1, 28, 28), parts="size", **QUICK)
        assert (profile.framework, profile.macs) == ("pytorch", 7_840)


def test_frameworks_do_not_meet_where_a_function_makes_the_other_one():
    def of_keras():
        import keras

        units = 2 if "torch" in sys.modules else 1
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(units)])

    profile = tradeoffs.measure(of_keras, parts="size", **QUICK)
    assert (profile.framework, profile.macs) == ("keras", 4)


def test_a_file_may_import_both_frameworks(tmp_path):
    file = tmp_path / "both.py"
    file.write_text(
        "import keras, torch\n"
        "def one(): return torch.nn.Linear(8, 3)\n"
        "def other():\n"
        "    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])\n"
    )
    for name, framework in (("one", "pytorch"), ("other", "keras")):
        profile = tradeoffs.measure(f"{file}:{name}", (8,), parts="size", **QUICK)
        assert (profile.framework, profile.macs) == (framework, 24)
    with pytest.raises(MeasureError, match="'keras'; it must be one of pytorch"):
        tradeoffs.measure(f"{file}:one", (8,), framework="keras", **QUICK)


def failing(self, images):
    raise type("Odd", (Exception,), {})("three\nlines\nlong")


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (LINEAR, {}, r"give input_shape, .* such as \(1, 28, 28\)"),
        (LINEAR, {"input_shape": (1, 9, 9)}, r"cannot take an input of shape \(1, 9"),
        (Calling(lambda m, x: (x, x)), TRAINING, "returned a tuple"),
        (Calling(failing), PICTURE, "three lines long"),
        (nn.Flatten(0), TRAINING, r"shape \(1568,\) for 2 inputs"),
        (nn.Flatten(), TRAINING, "nothing to train"),
        (Calling(lambda m, x: os._exit(9)), PICTURE, "memory, at batch size 16; try"),
        (Calling(sys.stdout), PICTURE, "give a function that makes it"),
        (LINEAR, TRAINING | {"batch_size": 10**10}, "memory at batch size 1000000"),
        ("gap_cnn", {"dropuot": True}, "dropuot"),
        ("gap_cnn", {"device": "mps"}, "'mps'; it must be one of cpu"),
        (len, PICTURE, "TypeError"),
        (lambda: sys.exit("no thanks"), {}, "SystemExit: no thanks"),
        ("resnet", {}, "model is 'resnet'; it must be one of keras_mlp"),
        ("no.py:make", {}, "no file 'no.py'"),
        (LINEAR, {"batch_size": 0}, "batch_size is 0"),
        (LINEAR, {"device": "tpu"}, "cpu, cuda, mps"),
        (LINEAR, {"parts": "speed"}, "some of size"),
        (LINEAR, {"input_shape": (1, 0)}, "input_shape is 0"),
        ("small_net", {"framework": "keras"}, "it must be one of pytorch"),
        (LINEAR, {"framework": "keras"}, "must be one of pytorch"),
        (LINEAR, {"max_seconds": -1}, "max_seconds is -1"),
        (3, {}, "must be a torch"),
        (LINEAR, {"dropout": True}, "named model only"),
        (LINEAR, {"input_shape": 784}, "must be whole numbers"),
        (LINEAR, {"input_shape": "784"}, "is '784'; it must be whole numbers"),
        (LINEAR, {"input_shape": b"4"}, "is b'4'; it must be whole numbers"),
        (LINEAR, {"input_shape": {784}}, r"is \{784\}; it must be whole numbers"),
        (LINEAR, {"input_shape": (((4,),),)}, "must be whole numbers"),
        (LINEAR, {"input_shape": {"a": (4,)}}, "is {'a': .* must be whole numbers"),
        (LINEAR, {"parts": [["size"]]}, "some of size"),
        (LINEAR, {"threads": 2**40}, "threads is 1099511627776; .* from 1 to 1024"),
    ],
)
def test_what_cannot_be_measured_is_one_clear_sentence(model, options, message):
    errors = MeasureError, ValueError, TypeError
    with pytest.raises(errors, match=message) as caught:
        tradeoffs.measure(model, **QUICK | options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("points", [None, [], (4,), ((4,), 2), "ab"])
def test_points_that_are_no_pairs_are_said(points):
    with pytest.raises(ValueError, match=r"points is .* must be pairs of a shape"):
        tradeoffs.predict_memory(LINEAR, points, progress=False)


def test_text_is_text_and_a_name_is_made_one():
    model = nn.Linear(4, 2)
    model.__name__ = 5
    options = QUICK | {"parts": "size", "input_dtype": np.str_("float32")}
    assert tradeoffs.measure(model, (4,), **options).name == "5"


def test_peak_memory_sees_what_is_let_go():
    def peak_of_20_mib():
        np.ones(40 * MIB // 8)
        peak = memory.PeakMemory()
        np.ones(20 * MIB // 8)
        return peak.mib()

    assert 18 < in_fresh_process(peak_of_20_mib) < 25


def test_allocator_rounds_reuses_and_merges():
    allocator = CachingAllocator()
    first, second = allocator.allocate(1), allocator.allocate(MIB)
    assert first.size == 512
    allocator.free(first)
    allocator.free(second)
    allocator.allocate(MIB)
    allocator.allocate(MIB)  # fits only if nothing is left in pieces
    assert allocator.peak_reserved == 2 * MIB
    allocator.allocate(3 * MIB)
    allocator.allocate(17 * MIB)  # the rest of the 20
    assert allocator.peak_reserved == (2 + 20) * MIB
    allocator.allocate(33 * MIB)
    assert allocator.peak_reserved == (2 + 20 + 34) * MIB


# MiB that batch 8,192 takes above batch 16, as the article measured it.
ARTICLE_MIB = {"pytorch_cnn": 1247 - 539, "keras_cnn": 5911 - 909}


def tracked_mib(name, batch_size):
    """What PyTorch's own memory tracker sees in a second training step."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    with FakeTensorMode():
        module = tradeoffs.build(name, "pytorch")
        optimizer = torch.optim.SGD(module.parameters(), momentum=0.9, nesterov=True)

        def step():
            images = torch.empty(batch_size, 1, 28, 28)
            labels = torch.zeros(batch_size, dtype=torch.long)
            nn.functional.cross_entropy(module(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

        step()
        tracker = MemTracker()
        tracker.track_external(module, optimizer)
        with tracker:
            step()
        (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return snapshot["Total"] / MIB


@pytest.mark.parametrize("name", ARTICLE_MIB)
def test_predicted_memory_is_near_the_article_s_and_pytorch_s_own(name):
    points = [((1, 28, 28), 16), ((1, 28, 28), 8192)]
    table = tradeoffs.predict_memory(name, points, progress=False)
    growth = table.reserved_mib[1] - table.reserved_mib[0]
    assert growth == pytest.approx(ARTICLE_MIB[name], rel=0.06)
    assert table.allocated_mib[1] == pytest.approx(tracked_mib(name, 8192), rel=0.01)
    own = tradeoffs.build(name, "pytorch")
    for model in (own, lambda: own):
        assert tradeoffs.predict_memory(model, points, progress=False).equals(table)


def test_named_model_is_predicted_for_any_picture_and_volume():
    points = [((1, 64, 64), 2), ((1, 32, 32, 32), 1)]
    for name in ("keras_mlp", "keras_cnn", "small_net"):
        table = tradeoffs.predict_memory(name, points, progress=False)
        assert (table.reserved_mib > 0).all()
    with pytest.raises(MeasureError, match=r"an input of shape \(1, 4, 4\)"):
        tradeoffs.predict_memory("gap_cnn", [((1, 4, 4), 1)], progress=False)


@pytest.mark.parametrize(
    "tick, windows", [(1.0, timing.MIN_WINDOWS), (0.125, timing.MIN_SECONDS / 0.125)]
)
def test_windows_are_taken_until_their_median_is_stable(monkeypatch, tick, windows):
    clock = iter(np.cumsum([tick] * 1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    calls = []
    seconds = timing.steady_seconds(calls.append, max_seconds=1e9)
    assert seconds == (tick / calls[-1],) * 3
    # Of the first two the second is a window, where one call is; else there is a third.
    assert len(calls) == windows + (3 if calls[-1] > 1 else 1)


def test_accelerator_s_memory_is_what_framework_and_driver_say(monkeypatch):
    """No GPU is needed: the documented functions answer in its place."""

    def answering(**answers):
        functions = {name: lambda *_, a=a: a for name, a in answers.items()}
        return SimpleNamespace(**functions)

    process = SimpleNamespace(pid=os.getpid(), usedGpuMemory=900 * MIB)
    cuda = {"max_memory_allocated": 300 * MIB, "max_memory_reserved": 400 * MIB}
    mps = {"current_allocated_memory": 30 * MIB, "driver_allocated_memory": 40 * MIB}
    driver = {"nvmlInit": None, "nvmlShutdown": None, "nvmlDeviceGetHandleByIndex": 0}
    driver["nvmlDeviceGetComputeRunningProcesses"] = [process]
    monkeypatch.setattr(torch, "cuda", answering(current_device=0, **cuda))
    monkeypatch.setattr(torch, "mps", answering(**mps))
    monkeypatch.setitem(sys.modules, "pynvml", answering(**driver))

    def held(device):
        found = memory.accelerator_memory("pytorch", device)
        return {name.split("_")[1]: mib for name, mib in found.items()}

    assert held("cpu") == {}
    assert held("cuda") == {"allocated": 300, "reserved": 400, "process": 900}
    assert held("mps") == {"allocated": 30, "reserved": 40}
    process.pid = 1  # as in a container that hides process numbers
    assert "process" not in held("cuda")


def test_what_is_in_a_file_is_measured(tmp_path, capfd):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nprint('noise')\nnet = nn.Linear(784, 10)\n"
        "def make():\n    return nn.Sequential(nn.Flatten(), net)\n"
    )
    for name, shape in (("make", (1, 28, 28)), ("net", (784,))):
        profile = tradeoffs.measure(f"{file}:{name}", shape, parts="size", **QUICK)
        assert (profile.name, profile.macs) == (name, 7_840)
    assert "noise" not in capfd.readouterr().out
    with pytest.raises(MeasureError, match=r"mine\.py has no function 'absent'"):
        tradeoffs.measure(f"{file}:absent", (1, 28, 28), **QUICK)


def test_dead_units_are_those_that_no_image_makes_positive():
    conv, linear = nn.Conv2d(1, 3, 28), nn.Linear(3, 2)
    network = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), linear, nn.LeakyReLU())
    for layer, bias in ((conv, [100.0, -1000.0, -5.0]), (linear, [0.0, -1e4])):
        layer.weight.data.fill_(1.0)
        layer.bias.data = torch.tensor(bias)
    images = torch.zeros(4, 1, 28, 28)
    dead = tradeoffs.dead_units(network, images)
    assert dead.tolist() == [False, True, True, False, True]
    images[2] = 1.0  # one of many that revives the third
    dead = tradeoffs.dead_units(network, images)
    assert dead.tolist() == [False, True, False, False, True]
    assert network.training
    assert not network[1]._forward_hooks
    with pytest.raises(match="no ReLU or LeakyReLU"):
        tradeoffs.dead_units(nn.Linear(2, 2), torch.rand(1, 2))
    with pytest.raises(ValueError, match="not finite: NaN"):
        tradeoffs.dead_units(network, images / 0)


def test_models_measured_in_turns_have_medians_and_all_that_they_span():
    models = ["small_net", {"model": "gap_cnn", "filters": (2, 5)}]
    parts = "size", "training_time"
    profiles = tradeoffs.measure_in_turns(models, turns=3, parts=parts, **QUICK)
    assert [p.variant for p in profiles] == ["small_net", "gap_cnn,filters=2x5"]
    for profile in profiles:
        low, high = profile.spread["train_step_ms"]
        assert low <= profile.train_step_ms <= high
        assert isinstance(profile.num_parameters, int)
        turns = profile.turns["train_step_ms"]
        assert len(turns) == 3
        assert profile.train_step_ms == sorted(turns)[1]
    with pytest.raises(ValueError, match="turns is 0"):
        tradeoffs.measure_in_turns(models, turns=0)


def test_median_of_two_turns_lies_between_them(small_net_profile):
    one = dataclasses.replace(small_net_profile, spread={})
    turns = [dataclasses.replace(one, train_step_ms=ms) for ms in (1.0, 2.0)]
    profile = median_profile(turns)
    assert (profile.train_step_ms, profile.spread["train_step_ms"]) == (1.5, (1, 2))
    assert isinstance(profile.num_parameters, int)


def test_other_work_on_the_machine_is_noted():
    quiet = timing.OtherWork()
    quiet.since = (0.0, *quiet.since[1:])  # a long time, and nothing of others
    assert quiet.note() == []
    others = timing.OtherWork()
    with in_background():
        timing.wait_for_quiet(1.0)
        (note,) = others.note()
    assert note.startswith("times measured on a busy machine: other processes kept")


@contextlib.contextmanager
def in_background():
    """Another process that computes."""
    worker = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def test_recording_refuses_a_busy_machine(results):
    said = r"small_net: times measured on a busy machine.*nothing was recorded"
    with in_background(), pytest.raises(RecordError, match=said):
        options = {"turns": 1, "parts": "training_time"} | QUICK
        recording.record_profiles(["small_net"], **options)
    assert not list(results.rglob("*.json"))
