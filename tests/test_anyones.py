"""Models that are not ours: `measure` and `fit` are right, or say why not."""

import functools
import os
import signal
import warnings

import numpy as np
import pytest
import torch
import torchvision
from helpers import Calling
from torch import nn
from torch.ao.quantization import quantize_fx
from torch.nn import functional
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.utils import parametrizations
from torch.utils import mkldnn

import tradeoffs
from tradeoffs import ARTICLE, Dataset, TrainingError
from tradeoffs.probes.prediction import training_memory
from tradeoffs.probes.pytorch import Probe
from tradeoffs.probes.units import input_dtype
from tradeoffs.training.pytorch import images_to_tensor

QUICK = {"threads": 1, "max_seconds": 0.1, "progress": False}
PICTURE = (1, 28, 28)


def fit_an_epoch(model, dataset, **changed):
    schedule = ARTICLE.first(1).replace(**changed)
    return tradeoffs.fit(model, dataset, schedule, progress=False)


def contrasts(self, x, y):
    return self.a(x) @ self.b(y).t()


def branches(self, x):
    return self.head(self.deep(self.a(x)) if x.mean() > 9 else self.a(x))


@torch.library.custom_op("anyones::gram", mutates_args=())
def gram(x: torch.Tensor) -> torch.Tensor:
    return x @ x.transpose(1, 2)


@gram.register_fake
def _(x):
    return x.new_empty(len(x), x.shape[1], x.shape[1])


CONVOLUTION_AND_HEAD = 26 * 26 * 4 * 9 + 27_040


@pytest.mark.parametrize(
    ("model", "shape", "macs"),
    [
        (
            nn.Sequential(nn.TransformerEncoderLayer(28, 2, 56, batch_first=True)),
            (28, 28),
            6 * 28**3 + 2 * 28 * 28 * 56,
        ),
        (
            Calling(lambda m, x: functional.linear(x, m.a.weight), a=nn.Linear(9, 3)),
            (9,),
            27,
        ),
        (
            Calling(
                lambda m, x: m.lstm(x)[0][:, -1], lstm=nn.LSTM(8, 5, batch_first=True)
            ),
            (7, 8),
            7 * 4 * 5 * (8 + 5),
        ),
        # What grows with the square of the batch.
        (
            Calling(contrasts, a=nn.Linear(8, 4), b=nn.Linear(8, 4)),
            ((8,), (8,)),
            2 * 32 + 4,
        ),
        (Calling(lambda m, x: torch.addbmm(x[0], x, x)), (4, 4), 4**3),
        # Products that are not known: no number, and the operator's name.
        (
            Calling(lambda m, x: m.b(x, x), b=nn.Bilinear(4, 4, 2)),
            (4,),
            "aten._trilinear",
        ),
        (Calling(lambda m, x: torch.fft.fft(x).abs()), (8,), "aten._fft_r2c"),
        (Calling(lambda m, x: torch.cdist(x, x)), (40, 5), "aten._euclidean_dist"),
        (Calling(lambda m, x: functional.pdist(x[0])), (4, 5), "aten._pdist_forward"),
        (Calling(lambda m, x: torch.geqrf(x)[0]), (4, 4), "aten.geqrf"),
        (
            Calling(lambda m, x: torch.eye(4).to_sparse() @ x[0]),
            *((4, 5), "aten.mm of sparse numbers"),
        ),
        (
            Calling(lambda m, x: (x.cfloat() @ torch.eye(5).cfloat()).abs()),
            *((4, 5), "aten.mm of complex numbers"),
        ),
        (Calling(lambda m, x: gram(x)), (4, 5), "anyones.gram"),
        (
            Calling(lambda m, x: flex_attention(x[:, None], x[:, None], x[:, None])),
            (16, 16),
            "flex_attention",
        ),
    ],
)
def test_macs_are_counted_by_operators(model, shape, macs):
    shapes = shape if isinstance(shape[0], tuple) else (shape,)
    counted, unknown = Probe(model, shapes, None, "cpu", 16).macs()
    if isinstance(macs, str):
        assert (counted, unknown) == (None, {macs})
    else:
        assert (counted, unknown) == (macs, set())


def reads(self, words, lengths):
    lengths, words = lengths.clamp(1, 7), self.look(words)
    options = {"batch_first": True, "enforce_sorted": False}
    packed = nn.utils.rnn.pack_padded_sequence(words, lengths, **options)
    return self.lstm(packed)[1][0][-1]


def test_macs_that_depend_on_values_are_none_or_noted():
    words = Calling(reads, look=nn.Embedding(9, 8), lstm=nn.LSTM(8, 5))
    for _ in range(2):
        counted, unknown = Probe(words, ((7,), ()), None, "cpu", 4).macs()
        assert (counted, unknown) == (None, {"what depends on the inputs' values"})
    layers = {"a": nn.Linear(4, 4), "deep": nn.Linear(4, 4), "head": nn.Linear(4, 2)}
    profile = tradeoffs.measure(
        Calling(branches, **layers), (4,), parts="size", **QUICK
    )
    note = "MACs were counted for random values, and may depend on them"
    assert (profile.macs, profile.notes) == (16 + 8, (note,))


@pytest.mark.parametrize(
    "norm",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        parametrizations.orthogonal,
        lambda layer: parametrizations.orthogonal(
            layer, orthogonal_map="householder", use_trivialization=False
        ),
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
    ],
)
def test_norm_of_a_weight_is_no_part_of_an_image_s_macs(norm):
    layers = norm(nn.Conv2d(1, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(2704, 10)
    network = nn.Sequential(*layers)
    for _ in range(2):
        probe = Probe(network, (PICTURE,), None, "cpu", 16)
        assert probe.macs() == (CONVOLUTION_AND_HEAD, set())
        network.train()(torch.ones(1, *PICTURE)).sum().backward()  # norms still work


def keeps(self, x):
    self.cache.setdefault(len(x), torch.zeros(x.shape))
    return self.head(x + self.cache[len(x)])


def test_a_count_leaves_nothing_behind_in_the_model():
    model = Calling(keeps, head=nn.Linear(9, 3), cache={})
    probe = Probe(model, ((9,),), None, "cpu", 16)
    assert probe.macs() == (27, set())
    assert model.cache == {}


@pytest.fixture
def no_first_weights(monkeypatch):
    """Networks are built without drawing weights, which counts do not depend on."""
    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


@pytest.mark.parametrize("part", range(4))
def test_counts_are_those_that_torchvision_publishes(part, no_first_weights):
    models = torchvision.models
    names = models.list_models(models)[part::4]
    assert len(names) == 20
    for name in names:
        weights = models.get_model_weights(name).DEFAULT
        side = weights.transforms().crop_size[0]
        # Published without the heads that only train, and at the weights' size.
        options = {"image_size": side} if name.startswith("vit") else {}
        if name == "googlenet":
            options = {"aux_logits": False}
        if name in ("googlenet", "inception_v3"):
            options["init_weights"] = False
        model = models.get_model(name, **options)
        probe = Probe(model, ((3, side, side),), None, "cpu", 1)
        macs, unknown = probe.macs()
        assert (name, round(macs / 1e9, 3)) == (name, weights.meta["_ops"])
        parameters = sum(parameter.numel() for parameter in model.parameters())
        assert (name, parameters) == (name, weights.meta["num_params"])
        assert not unknown


class Tied(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.a = nn.Linear(64, 64, bias=False)
        self.b = nn.Linear(64, 64, bias=False) if tied else self.a
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def test_what_is_shared_costs_once():
    parts = ("size", "training_memory", "prediction")
    tied, once = (
        tradeoffs.measure(Tied(it), (64,), parts=parts, **QUICK) for it in (True, False)
    )
    for field in ("num_parameters", "gradient_bytes", "optimizer_bytes", "macs"):
        assert getattr(tied, field) == getattr(once, field), field
    assert tied.weight_bytes == 4 * 64 * 64 < tied.file_bytes < 4 * 64 * 64 + 500
    assert tied.predicted_gpu_memory_mib == once.predicted_gpu_memory_mib


def test_what_shares_one_storage_is_there_once_in_the_other_process():
    layers = nn.Sequential(*[nn.Linear(9, 9) for _ in range(5)])
    vector = nn.utils.parameters_to_vector(layers.parameters()).detach()
    nn.utils.vector_to_parameters(vector, layers.parameters())
    profile = tradeoffs.measure(layers, (9,), parts="size", **QUICK)
    assert profile.weight_bytes == 4 * 5 * 90


@pytest.mark.parametrize("view", [lambda weight: weight, torch.Tensor.t])
def test_parameters_in_the_same_place_count_once(view):
    tied = nn.Sequential(*[nn.Linear(64, 64, bias=False) for _ in range(2)])
    tied[1].weight = nn.Parameter(view(tied[0].weight.data))
    found = Probe(tied, ((64,),), None, "cpu", 4).size()
    assert (found["num_parameters"], found["weight_bytes"]) == (4_096, 16_384)


def test_layers_in_a_plain_list_are_noted():
    def forward(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)

    model = Calling(forward, hidden=[nn.Linear(9, 9)], head=nn.Linear(9, 2))
    profile = tradeoffs.measure(model, (9,), parts="size", **QUICK)
    assert (profile.num_parameters, profile.macs) == (20, 81 + 18)
    said = "layers in plain lists are not counted, trained or saved: hidden"
    assert profile.notes == (said,)


def test_branches_that_no_loss_depends_on_keep_nothing():
    def forward(self, x, train_all):
        answer = self.branch(x)
        return self.head(answer if train_all else answer.detach())

    rest = 8 * 64 * 4 + 8 * 16 + 64 + 4
    for train_all, kept in ((True, 2 * 8 * 64 * 4), (False, 0)):
        model = Calling(
            functools.partial(forward, train_all=train_all),
            branch=nn.Sequential(nn.Linear(64, 64), nn.Sigmoid(), nn.Linear(64, 64)),
            head=nn.Linear(64, 4),
        )
        profile = tradeoffs.measure(
            model, (64,), batch_size=8, parts="training_memory", **QUICK
        )
        assert profile.activation_bytes == rest + kept


def test_step_that_is_killed_leaves_the_size():
    def forward(self, x):
        if self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(x)

    parts = "training_time", "size", "inference_time"
    model = Calling(forward, head=nn.Linear(9, 3))
    profile = tradeoffs.measure(model, (9,), parts=parts, **QUICK)
    assert (profile.num_parameters, profile.macs) == (30, 27)
    assert profile.latency_ms_p50 > 0
    assert "training_time not measured: Calling: a process was" in profile.notes[0]


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda m, x: m.head(x).detach(), "nothing to train: its output does not"),
        (lambda m, x: m.head(x)[:, : 1 + m.training], "2 outputs while it trains"),
        (lambda m, x: m.head(x)[None] if m.training else m.head(x), "while it trains"),
        (lambda m, x: m.head(x) / m.training, "the test loss became nan in epoch 1"),
    ],
)
def test_what_a_network_does_while_it_trains_is_checked_too(forward, message):
    model = Calling(lambda m, x: forward(m, x.flatten(1)), head=nn.Linear(24, 3))
    with pytest.raises(TrainingError, match=message):
        fit_an_epoch(model, pictures((6, 4), [0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_networks_are_summed_in_more(dtype):
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 3)).to(dtype)
    network[1].weight.data *= 300
    data = pictures((6, 4), [0, 1, 2], count=1_000)
    frozen = fit_an_epoch(network, data, learning_rate=1e-30)
    images = images_to_tensor(data.test_images, "standardized", data.pixels)
    with torch.inference_mode():
        logits = network(images.to(dtype)).double()
    labels = torch.tensor(data.test_labels).long()
    right = functional.cross_entropy(logits, labels).item()
    assert frozen.test_loss == pytest.approx(right, rel=1e-5)


def test_views_of_weights_follow_them_through_a_training():
    def twice(self, x):
        both = self.filters(x), functional.conv2d(x, self.some)
        return self.head(torch.cat(both, 1).flatten(1))

    filters, head = nn.Conv2d(1, 16, 3, bias=False), nn.Linear(24 * 8, 2)
    model = Calling(twice, filters=filters, head=head)
    model.register_buffer("some", filters.weight.detach()[:8])
    before = model.some.clone()
    fit_an_epoch(model, pictures((6, 4), [0, 1]))
    assert not torch.equal(model.some, before)
    assert torch.equal(model.some, filters.weight[:8])


def test_callers_defaults_reach_the_other_process():
    torch.set_default_dtype(torch.float64)
    try:
        profile = tradeoffs.measure(
            lambda: nn.Linear(4, 3), (4,), parts="size", **QUICK
        )
        ours = tradeoffs.measure("small_net", parts="size", **QUICK)
    finally:
        torch.set_default_dtype(torch.float32)
    assert profile.weight_bytes == 15 * 8
    assert ours.weight_bytes < 5 * ours.num_parameters


def two_heads(self, x):
    x = x.flatten(1)
    return (self.head(x), self.aux(x)) if self.training else self.head(x)


def dynamic(model, kind, dtype=torch.qint8):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantize = torch.ao.quantization.quantize_dynamic
        return quantize(model, {kind}, dtype=dtype)


def quantised():
    layers = nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10)
    return dynamic(nn.Sequential(*layers), nn.Linear)


def quantised_recurrent():
    return dynamic(nn.Sequential(nn.LSTM(8, 16)), nn.LSTM)


def quantised_convolution():
    quantization = torch.ao.quantization
    stubs = quantization.QuantStub(), quantization.DeQuantStub()
    layers = nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3)
    model = nn.Sequential(stubs[0], *layers, stubs[1]).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.qconfig = quantization.get_default_qconfig("x86")
        quantization.prepare(model, inplace=True)(torch.rand(2, 1, 8, 8))
        return quantization.convert(model, inplace=True)


def quantised_by_reference():
    model = nn.Sequential(nn.Linear(5, 3))
    mapping = torch.ao.quantization.get_default_qconfig_mapping("x86")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = quantize_fx.prepare_fx(model.eval(), mapping, (torch.ones(4, 5),))
        return quantize_fx.convert_to_reference_fx(model)


class WithMore(nn.Linear):
    """A layer whose file holds more than its weights."""

    def get_extra_state(self):
        return {"highest": torch.zeros(16)}

    def set_extra_state(self, state):
        pass


class WithPhases(nn.Linear):
    """A layer with complex numbers."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("phases", torch.zeros(3, dtype=torch.complex128))


class Graph(nn.Linear):
    """A layer with a sparse matrix."""

    def __init__(self):
        super().__init__(6, 3)
        self.register_buffer("edges", torch.eye(6).to_sparse())

    def forward(self, x):
        return super().forward(torch.sparse.mm(self.edges, x.T).T)


@pytest.mark.parametrize(
    ("model", "shape", "count", "num_bytes"),
    [
        (quantised_recurrent(), (5, 8), 4 * 16 * (8 + 16 + 2), 4 * 16 * (24 + 2 * 4)),
        (quantised_convolution(), (1, 8, 8), 40 + 435, 36 + 432 + 4 * 7 + 3 * 4),
        (
            dynamic(nn.Sequential(nn.Linear(50, 30)), nn.Linear, torch.float16),
            *((50,), 1530, 1500 * 2 + 30 * 4),
        ),
        # Of the input a scale and a zero point, of each output too, and an axis.
        (quantised_by_reference(), (5,), 18, 72 + 8 + 3 * 16 + 8),
        (WithMore(8, 3), (8,), 27, 108),
        (Graph(), (6,), 21, 84 + 6 * (2 * 8 + 4)),
        (WithPhases(6, 3), (6,), 21, 84 + 3 * 16),
    ],
)
def test_weights_are_those_of_layers_however_they_are_kept(
    model, shape, count, num_bytes
):
    probe = Probe(model, (shape,), None, "cpu", 16)
    found = probe.size()
    assert (found["num_parameters"], found["weight_bytes"]) == (count, num_bytes)
    assert probe.file_bytes() > num_bytes


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.jit.freeze(
            torch.jit.script(nn.Sequential(nn.Linear(9, 3)).eval())
        ),
        lambda: torch.jit.script(dynamic(nn.Sequential(nn.Linear(9, 3)), nn.Linear)),
    ],
)
def test_weights_out_of_sight_are_not_counted_as_none(make):
    profile = tradeoffs.measure(make, (9,), parts="size", **QUICK)
    assert profile.num_parameters is profile.weight_bytes is profile.file_bytes is None
    assert "weights were not counted: they are constants or" in profile.notes[0]


def test_weights_in_the_layout_of_onednn_are_counted():
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)).eval()
    model = mkldnn.to_mkldnn(model)
    found = Probe(model, ((5,),), None, "cpu", 4).size()
    assert (found["num_parameters"], found["weight_bytes"]) == (
        18 + 6,
        4 * (18 + 12) + 8,
    )


class KeywordOnly(nn.Linear):
    def forward(self, *, x):
        return super().forward(x)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Calling(lambda m, x: m.a(x["x"]), a=nn.Linear(9, 3)), "not counted: "),
        (KeywordOnly(9, 3), "positional argument"),
        (Calling(lambda m, x: m.a(x), a=nn.Linear(9, 3), b=nn.LazyLinear(4)), "lazy"),
    ],
)
def test_size_needs_no_forward_pass(model, says):
    profile = tradeoffs.measure(model, (9,), parts="size", **QUICK)
    assert (profile.num_parameters, profile.weight_bytes) == (30, 120)
    assert any(says in note for note in profile.notes)


def test_whether_inputs_are_looked_up_is_found_by_trying():
    places = Calling(lambda m, x: m.a(x), t=nn.Embedding(1, 3), a=nn.Linear(9, 3))
    words = Calling(
        lambda m, x: m.a(m.t(x).mean(1)), a=nn.Linear(6, 3), t=nn.Embedding(300, 6)
    )
    parts = {"parts": ("size", "training_time", "startup", "prediction")}
    for model, macs in ((places, 27), (words, 18)):
        found = tradeoffs.measure(model, (9,), **parts, **QUICK)
        assert (found.macs, found.train_step_ms > 0) == (macs, True)
        assert found.startup_seconds > 0
        assert found.predicted_gpu_memory_mib > 0
    assert tradeoffs.measure(places, (9,), input_dtype="float32", **QUICK).macs == 27
    said = "it was given torch.int64, for want of an input_dtype"
    with pytest.raises(tradeoffs.MeasureError, match=said):
        tradeoffs.measure(places, (8,), **QUICK)
    for dtype in ("bool", "uint8"):
        flags = Probe(nn.Embedding(300, 2), ((9,),), dtype, "cpu", 4).inputs(50)
        assert str(flags[0].dtype) == f"torch.{dtype}"


by_name, BIAS = functional.scaled_dot_product_attention, nn.Parameter(torch.zeros(16))


def drops(self, x):
    attend = functional.scaled_dot_product_attention
    return attend(x, x, x, None, self.p) + attend(query=x, key=x, value=self.b + x)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: nn.TransformerEncoderLayer(16, 2, 8, p, batch_first=True),
        lambda p: Calling(drops, p=p, b=nn.Parameter(torch.zeros(16))),
        lambda p: Calling(lambda m, x: by_name(x, x, m.b + x, dropout_p=p), b=BIAS),
    ],
)
def test_attention_keeps_no_mask_of_dropout_on_a_gpu(make):
    def allocated_mib(p):
        model = nn.Sequential(make(p), nn.Flatten(), nn.Linear(4096, 2))
        return training_memory(lambda: model, ((256, 16),), 8)["allocated_mib"]

    plain, dropping = allocated_mib(0.0), allocated_mib(0.3)
    assert dropping < plain + 1.5 < plain + 4 * 2 * 8 * 256**2 / 2**20


def test_no_fused_attention_takes_double_precision():
    def allocated_mib(dtype):
        bias = nn.Parameter(torch.zeros(16, dtype=dtype))
        model = Calling(lambda m, x: by_name(x, m.b + x, x).mean(1), b=bias)
        return training_memory(lambda: model, ((1_024, 16),), 8)["allocated_mib"]

    products = 8 * 1_024**2 * 8 / 2**20
    assert allocated_mib(torch.float32) < products < allocated_mib(torch.float64)


@pytest.mark.parametrize("begin", [torch.autocast, torch.amp.autocast])
def test_autocast_on_a_gpu_is_predicted(begin):
    def forward(self, x, dtype):
        with begin("cuda", dtype):
            return self.layers(x)

    def kept(dtype):
        layers = nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)])
        model = Calling(functools.partial(forward, dtype=dtype), layers=layers)
        return training_memory(lambda: model, ((64,),), 10_000)["allocated_mib"]

    assert kept(torch.bfloat16) < 0.75 * kept(torch.float32)


def test_weights_that_are_in_a_list_too_have_gradients_in_the_prediction():
    def forward(self, x):
        for weight in self.weights:
            x = functional.linear(x, weight)
        return self.head(x)

    layers = nn.ModuleList(nn.Linear(512, 512, bias=False) for _ in range(4))
    weights = [layer.weight for layer in layers]
    model = Calling(forward, layers=layers, weights=weights, head=nn.Linear(512, 2))
    found = training_memory(lambda: model, ((512,),), 4)["allocated_mib"]
    assert found > 3 * 4 * 512**2 * 4 / 2**20


def remembers(self, x):
    self.seen.append(self.a(x).detach().mean(0, keepdim=True))
    return self.a(x) @ torch.cat(self.seen).t()


def test_what_a_model_keeps_of_other_calls_is_not_counted():
    model = Calling(remembers, a=nn.Linear(8, 8))
    model.seen = []
    profile = tradeoffs.measure(model, (8,), parts=("size", "inference_time"), **QUICK)
    assert profile.macs == 2 * 64 + 8


def test_a_compiled_model_is_counted_by_its_operators():
    layers = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)
    compiled = torch.compile(nn.Sequential(*layers), backend="aot_eager")
    parts = {"parts": ("size", "inference_time", "prediction")}
    profile = tradeoffs.measure(compiled, (8,), **parts, **QUICK)
    assert (profile.num_parameters, profile.macs) == (195, 176)
    assert profile.predicted_gpu_memory_mib == 2.0


class Stubborn(nn.Linear):
    """Returns nothing where a module returns itself."""

    def train(self, mode=True):
        super().train(mode)

    def eval(self):
        super().eval()

    def to(self, *arguments):
        super().to(*arguments)


def exported():
    dynamic = ({0: torch.export.Dim("n", min=1)},)
    program = torch.export.export(
        nn.Linear(9, 3), (torch.ones(2, 9),), dynamic_shapes=dynamic
    )
    return program.module()


@pytest.mark.parametrize("make", [lambda: Stubborn(9, 3), exported])
def test_modes_may_return_nothing_or_be_refused(make):
    parts = "size", "prediction"
    profile = tradeoffs.measure(make, (9,), parts=parts, **QUICK)
    assert (profile.num_parameters, profile.macs, profile.notes) == (30, 27, ())
    assert profile.predicted_gpu_memory_mib > 0


def test_type_of_the_inputs_is_that_of_the_first_layer():
    heat = nn.Parameter(torch.ones((), dtype=torch.float64))
    model = Calling(lambda m, x: m.a(x) / m.heat.float(), heat=heat, a=nn.Linear(9, 3))
    assert input_dtype(model) == torch.float32


def test_one_number_is_an_input():
    parts = "size", "inference_time"
    profile = tradeoffs.measure(nn.Embedding(9, 4), ((),), parts=parts, **QUICK)
    assert (profile.input_shape, profile.num_parameters) == (((),), 36)
    assert profile.latency_ms_p50 > 0


def test_model_in_a_file_is_measured(tmp_path):
    (tmp_path / "mine.py").write_text("from torch import nn\nnet = nn.Linear(9, 3)\n")
    file = f"{tmp_path}/mine.py:net"
    assert tradeoffs.measure(file, (9,), parts="size", **QUICK).macs == 27


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient * ctx.x


def test_activations_kept_as_an_attribute_are_counted():
    layers = {"a": nn.Linear(6, 5), "b": nn.Linear(5, 3)}
    model = Calling(lambda m, x: m.b(Square.apply(m.a(x))), **layers)
    options = {"batch_size": 8, "parts": "training_memory"}
    profile = tradeoffs.measure(model, (6,), **options, **QUICK)
    # The input, what is squared, the squares, log-probabilities, labels, a weight.
    assert profile.activation_bytes == 8 * (6 + 5 + 5 + 3) * 4 + 8 * 8 + 4


def test_a_model_without_contents_is_predicted_as_any():
    empty, full = (
        tradeoffs.predict_memory(
            nn.Linear(900, 10, device=device), [((900,), 16)], progress=False
        )
        for device in ("meta", "cpu")
    )
    assert empty.equals(full)


def test_one_part_that_cannot_be_had_leaves_the_others():
    heads = Calling(two_heads, head=nn.Linear(784, 10), aux=nn.Linear(784, 10))
    parts = {"parts": ("size", "inference_time", "training_time")}
    profile = tradeoffs.measure(heads, PICTURE, **parts, **QUICK)
    assert profile.num_parameters == 15_700
    assert profile.macs == 7_840
    assert profile.latency_ms_p50 > 0
    assert profile.train_step_ms is None
    said = "while it trains, Calling returned a tuple"
    assert any(said in note for note in profile.notes)
    packed = tradeoffs.measure(
        quantised(), PICTURE, parts=("size", "inference_time"), **QUICK
    )
    assert packed.weight_bytes == 79_400 + 4 * 110
    assert packed.num_parameters == 79_510
    assert packed.latency_ms_p50 > 0
    assert packed.macs is None
    assert any("quantized.linear_dynamic" in note for note in packed.notes)
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    normed = nn.Sequential(nn.Linear(8, 4), norm)
    pairs = tradeoffs.measure(normed, (8,), **parts, **QUICK)
    assert (pairs.macs, pairs.latency_ms_p50) == (32, None)
    assert pairs.inference_seconds > 0 and pairs.train_step_ms > 0
    assert any("inference_time not measured" in note for note in pairs.notes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_the_model_s_own(dtype):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).to(dtype)
    profile = tradeoffs.measure(model, PICTURE, **QUICK)
    assert profile.notes == () or "busy" in profile.notes[0]
    assert profile.weight_bytes == 7850 * dtype.itemsize
    assert profile.predicted_gpu_memory_mib > 0


def plane_and_solid(self, x):
    return self.head(self.solid(self.plane(x)[:, None]).flatten(1))


def test_layout_that_does_not_suit_is_left_out(small):
    model = Calling(
        plane_and_solid,
        plane=nn.Conv2d(1, 4, 3, padding=1),
        solid=nn.Conv3d(1, 2, 3, padding=1),
        head=nn.Linear(2 * 4 * 784, 10),
    )
    run = fit_an_epoch(model, small.head(64, 10))
    assert run.num_parameters == 40 + 56 + 62_730


def test_inputs_may_be_words_or_several():
    words = nn.Sequential(nn.Embedding(50, 8), nn.Flatten(), nn.Linear(160, 2))
    parts = "size", "training_time"
    profile = tradeoffs.measure(words, (20,), parts=parts, **QUICK)
    assert (profile.num_parameters, profile.macs) == (400 + 322, 320)
    assert profile.train_step_ms > 0
    pair = Calling(
        lambda m, x, y: m.a(x) + m.b(y.float()), a=nn.Linear(4, 2), b=nn.Linear(3, 2)
    )
    parts = "size", "training_time", "prediction"
    both = tradeoffs.measure(pair, ((4,), (3,)), parts=parts, **QUICK)
    assert both.input_shape == ((4,), (3,))
    assert (both.macs, both.train_step_ms) == (14, None)
    assert both.predicted_gpu_memory_mib > 0
    assert any("models of one input" in note for note in both.notes)
    options = QUICK | {"parts": ("size", "startup", "prediction")}
    mixed = Calling(
        lambda m, ids, x: m.look(ids).mean(1) + m.a(x),
        look=nn.Embedding(9, 2),
        a=nn.Linear(4, 2),
    )
    dtypes = "int64", "float32"
    found = tradeoffs.measure(mixed, ((7,), (4,)), input_dtype=dtypes, **options)
    assert (found.macs, found.startup_seconds > 0, found.notes) == (8, True, ())
    assert found.predicted_gpu_memory_mib > 0
    with pytest.raises(tradeoffs.MeasureError, match="one for each of 2 inputs"):
        tradeoffs.measure(pair, ((4,), (3,)), input_dtype=["int64"], **options)
    late = Calling(
        lambda m, x: m.look(x).mean(1), pad=nn.Linear(1, 1), look=nn.Embedding(9, 2)
    )
    options = {"parts": "size", "input_dtype": "int64"} | QUICK
    assert tradeoffs.measure(late, (5,), **options).num_parameters == 20


def test_lazy_layers_and_tensors_that_are_no_buffers_are_predicted():
    scale = torch.full((10,), 2.0)
    lazy = nn.Sequential(
        nn.Flatten(), nn.LazyLinear(10), Calling(lambda m, x: x * scale)
    )
    table = tradeoffs.predict_memory(lazy, [((1, 28, 28), 16)], progress=False)
    assert table.allocated_mib[0] > 0
    old = nn.utils.weight_norm(nn.Conv2d(1, 4, 3))
    model = nn.Sequential(old, nn.Flatten(), nn.Linear(2704, 10))
    profile = tradeoffs.measure(model, PICTURE, parts="prediction", **QUICK)
    assert profile.predicted_gpu_memory_mib > 0


def test_probabilities_of_a_pytorch_model_are_warned_of(small):
    layers, few = (nn.Flatten(), nn.Linear(784, 10)), small.head(64, 10)
    with pytest.warns(UserWarning, match="a softmax of a softmax"):
        net = nn.Sequential(*layers, nn.Softmax(1))
        fit_an_epoch(net, few)
    noted = tradeoffs.measure(net, PICTURE, parts="training_time", **QUICK).notes
    assert sum("a softmax of a softmax" in note for note in noted) == 1
    with pytest.warns(UserWarning, match="a softmax of a sigmoid"):
        fit_an_epoch(nn.Sequential(*layers, nn.Sigmoid()), few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for last in (nn.Identity(), nn.LogSoftmax(1)):
            fit_an_epoch(nn.Sequential(*layers, last), few)
        gated = {"head": nn.Linear(784, 10), "gate": nn.Sigmoid()}
        fit_an_epoch(
            Calling(lambda s, x: s.head((x * s.gate(x)).flatten(1)), **gated), few
        )


def flattens_by_view(self, x):
    return self.b(self.a(x).view(len(x), -1))


def standardizes_weights(self, x):
    weight = self.a.weight
    deviation = weight.view(len(weight), -1).std(1).view(-1, 1, 1, 1)
    return self.b(functional.conv2d(x, weight / deviation, self.a.bias).flatten(1))


def descends_in_an_energy(self, x):
    with torch.enable_grad():
        x = x.requires_grad_()
        energy = self.a(x).square().sum()
        return self.b((x - torch.autograd.grad(energy, x)[0]).flatten(1))


@pytest.mark.parametrize("function", (flattens_by_view, standardizes_weights))
def test_layout_is_one_that_the_model_takes(function, small):
    model = Calling(function, a=nn.Conv2d(1, 8, 3), b=nn.Linear(8 * 26 * 26, 10))
    parts = "size", "training_time", "training_memory", "inference_time"
    profile = tradeoffs.measure(model, PICTURE, parts=parts, **QUICK)
    assert profile.macs == 26 * 26 * 8 * 9 + 8 * 26 * 26 * 10
    assert not any("not measured" in note for note in profile.notes)
    assert fit_an_epoch(model, small.head(64, 10)).num_parameters == 80 + 54_090


def test_gradients_may_be_taken_while_the_model_answers(small):
    model = Calling(
        descends_in_an_energy, a=nn.Conv2d(1, 2, 3), b=nn.Linear(28 * 28, 10)
    )
    assert fit_an_epoch(model, small.head(64, 10)).num_parameters == 20 + 7_850


def test_few_whole_numbers_are_tried_where_a_model_moves_them():
    def fields(self, x):
        return self.head(self.table(x + self.offsets).flatten(1))

    def from_one(self, x):
        return self.head(self.table(x - 1).flatten(1))

    for forward, alone in ((fields, 0), (from_one, 1)):
        model = Calling(forward, table=nn.Embedding(60, 4), head=nn.Linear(12, 2))
        model.register_buffer("offsets", torch.tensor([0, 10, 59]))
        parts = "size", "training_time", "inference_time"
        profile = tradeoffs.measure(model, (3,), parts=parts, **QUICK)
        assert (profile.num_parameters, profile.macs) == (240 + 26, 24)
        assert profile.epoch_seconds > 0 < profile.latency_ms_p50
        assert f"the model was given {alone} alone, as others fail" in profile.notes


def test_embedding_with_sparse_gradients_trains():
    table = nn.Embedding(9, 4, sparse=True)
    model = Calling(lambda self, x: self.table(x).mean(1), table=table)
    profile = tradeoffs.measure(model, (5,), parts="training_time", **QUICK)
    assert profile.train_step_ms > 0


@pytest.mark.parametrize("name", ("threads", "first_epochs"))
def test_threads_and_epochs_are_whole_numbers(name, small):
    for value, error in ((0, ValueError), (1.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match=f"{name} is "):
            tradeoffs.fit(nn.Linear(1, 1), small, ARTICLE, **{name: value})


def pictures(shape, labels, dtype=np.uint8, count=64):
    random = np.random.default_rng(0)
    images = (random.random((count, *shape)) * 255).astype(dtype)
    labels = np.resize(labels, count)
    return Dataset("mine", images, labels, images[:32], labels[:32])


def test_pictures_may_be_in_colour_in_float_and_of_any_shape():
    for shape, dtype, channels in (
        ((12, 8, 3), np.uint8, 3),
        ((12, 8), np.float32, 1),
        ((12, 8, 2), np.float32, 2),
    ):
        data = pictures(shape, range(5), dtype)
        mean, deviation = data.pixels
        scale = 255 if dtype == np.uint8 else 1
        assert mean == pytest.approx(data.train_images.mean() / scale)
        assert deviation == pytest.approx(data.train_images.std() / scale, rel=1e-4)
        convolution = nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1)
        model = nn.Sequential(*convolution, nn.Flatten(), nn.Linear(4, 5))
        assert 0 <= fit_an_epoch(model, data).test_accuracy <= 1


def test_last_batch_of_one_joins_the_one_before():
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(24, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
    )
    data = pictures((6, 4), [0, 1], count=33)
    run = fit_an_epoch(model, data)
    assert np.isfinite(run.history.train_loss).all()


def test_last_test_image_joins_those_before():
    def squeezes(self, x):
        return self.head(x.flatten(1)).squeeze()

    images, labels = np.zeros((1_001, 6, 4), np.uint8), np.arange(1_001) % 2
    data = Dataset("mine", images[:32], labels[:32], images, labels)
    model = Calling(squeezes, head=nn.Linear(24, 2))
    assert len(fit_an_epoch(model, data).test_predictions) == 1_001


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_fit_trains_where_no_gradients_are_kept(without):
    layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(16, 2)
    with without():
        run = fit_an_epoch(nn.Sequential(*layers), pictures((6, 4), [0, 1]))
    assert run.test_loss > 0


def test_lazy_layers_are_trained():
    lazy = nn.Sequential(nn.LazyConv2d(2, 3), nn.Flatten(), nn.LazyLinear(2))
    assert fit_an_epoch(lazy, pictures((6, 4), [0, 1])).num_parameters == 20 + 34


def test_a_model_of_two_precisions_takes_images_in_its_first():
    half, whole = nn.Linear(24, 8).half().requires_grad_(False), nn.Linear(8, 2)
    model = Calling(lambda m, x: m.b(m.a(x.flatten(1)).float()), a=half, b=whole)
    model.temperature = nn.Parameter(torch.ones(1).double(), requires_grad=False)
    assert fit_an_epoch(model, pictures((6, 4), [0, 1])).test_loss > 0


def test_a_model_that_works_in_place_leaves_the_images_alone():
    def shifts(self, x):
        x -= 0.5
        return self.head(x.flatten(1))

    model = Calling(shifts, head=nn.Linear(24, 2))
    data = pictures((6, 4), [0, 1], np.float32)
    options = {"learning_rate": 1e-12, "epochs": 3, "milestones": ()}
    schedule = ARTICLE.replace(**options)
    run = tradeoffs.fit(model, data, schedule, np.int64(3), progress=False)
    assert np.ptp(run.history.test_loss) < 1e-6


def test_class_numbers_are_not_cut():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 1000))
    nn.init.zeros_(model[1].weight)
    model[1].bias.data[:] = torch.arange(1000) == 259
    data = pictures((6, 4), [3, 259])
    run = fit_an_epoch(model, data, learning_rate=1e-9)
    assert set(run.test_predictions) == {259}
    assert run.test_accuracy == 0.5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: pictures((6, 4), range(1, 11)), "train_labels go from 1 to 10, and "),
        (lambda: pictures((6, 4, 3), range(4)), "cannot take images as torch.float32"),
        (lambda: pictures((6,), range(4)), r"train_images is of shape \(64, 6\)"),
        (
            lambda: Dataset(
                "d", *[np.zeros((2, 6, 4), np.uint8), np.eye(2, dtype=int)] * 2
            ),
            r"train_labels is of shape \(2, 2\); it must be one whole number an image",
        ),
        (
            lambda: pictures((6, 4), [np.nan, 1.0]),
            "train_labels must be integer, not float64",
        ),
    ],
)
def test_data_that_do_not_fit_are_one_clear_sentence(make, said):
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 10))
    with pytest.raises((ValueError, TypeError, TrainingError), match=said) as caught:
        fit_an_epoch(model, make())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("last", "batch_size", "said"),
    [
        (Calling(lambda m, x: x.argmax(1, keepdim=True)), 16, "must return real"),
        (nn.BatchNorm1d(10), 1, "use batches of 2 images or more"),
    ],
)
def test_what_cannot_be_trained_is_said(last, batch_size, said):
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 10), last)
    with pytest.raises(TrainingError, match=said):
        fit_an_epoch(model, pictures((6, 4), [0]), batch_size=batch_size)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Calling(lambda m, x: {"y": m.a(x)}, a=nn.Linear(9, 2)), "returned a dict"),
        (Calling(lambda m, x: x[:, :2]), "nothing to train"),
        (
            Calling(lambda m, x: m.a(x) * x.sum().item(), a=nn.Linear(9, 2)),
            r"fails: the model looks at values \(aten._local_scalar_dense",
        ),
    ],
)
def test_what_cannot_be_predicted_is_said(model, said):
    with pytest.raises(tradeoffs.MeasureError, match=said):
        tradeoffs.predict_memory(model, [((9,), 4)], progress=False)


def test_model_too_large_for_the_machine_is_told_so():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    huge = Calling(lambda m, x: m.net(x.repeat(1, 10**13)), net=model)
    options = QUICK | {"batch_size": 1, "inference_batch_size": 1}
    with pytest.raises(tradeoffs.MeasureError, match="even at batch size 1"):
        tradeoffs.measure(huge, (4,), **options)
