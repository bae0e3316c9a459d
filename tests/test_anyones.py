"""Models that are not ours: `measure` and `fit` are right, or say why not."""

import functools
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

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
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils import mkldnn
from torch.utils._pytree import tree_leaves

import tradeoffs
from tradeoffs import ARTICLE, Dataset, TrainingError
from tradeoffs.probes.prediction import training_memory
from tradeoffs.probes.pytorch import Probe
from tradeoffs.probes.units import input_dtype
from tradeoffs.training import TrainingWarning
from tradeoffs.training.pytorch import images_to_tensor

QUICK = {"threads": 1, "max_seconds": 0.1}
PICTURE = (1, 28, 28)


def fit_an_epoch(model, dataset, **changed):
    return tradeoffs.fit(model, dataset, ARTICLE.first(1).replace(**changed))


def measure(model, shape, parts="size", **options):
    return tradeoffs.measure(model, shape, parts=parts, **QUICK | options)


def allocated_mib(model, shape=(256, 16), batch_size=8):
    return training_memory(lambda: model, (shape,), batch_size)["allocated_mib"]


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


def experts(self, x):
    ends = torch.tensor([3, 8], dtype=torch.int32)
    return torch._grouped_mm(x[0].bfloat16(), self.weights, offs=ends)


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
        (Calling(lambda m, x: torch.linalg.vecdot(x, y=x)), (4, 5), 4 * 5),
        (
            Calling(lambda m, x: functional.affine_grid(x, (1, 1, 7, 9), False)),
            *((2, 3), 7 * 9 * 2 * 3),
        ),
        (
            Calling(lambda m, x: torch._int_mm(x[0].char(), x[0].char().T)),
            *((32, 16), 32 * 16 * 32),
        ),
        (
            Calling(experts, weights=torch.ones(2, 16, 32, dtype=torch.bfloat16)),
            *((8, 16), 8 * 16 * 32),
        ),
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
            Calling(lambda m, x: x + torch.from_numpy(x[0].numpy() @ np.eye(5))),
            *((4, 5), "what NumPy computes"),
        ),
        (
            Calling(lambda m, x: flex_attention(x[:, None], x[:, None], x[:, None])),
            (16, 16),
            "flex_attention",
        ),
        # A sum over one is one; what one operand has alone is summed before.
        *(
            (Calling(lambda m, x, of=of: torch.einsum(of, x, m.b), b=b), *expected)
            for of, b, *expected in (
                ("bti,ij->btj", torch.ones(1, 5), (6, 1), 6 * 5),
                ("bi,bj->ij", torch.ones(1, 5), (4,), 4 * 5),
                ("...i,ij->...j", torch.ones(8, 5), (6, 8), 6 * 8 * 5),
                ("...i,ij->j", torch.ones(8, 5), (6, 8), 8 * 5),
                ("...i,...i->i", torch.ones(6, 8), (6, 8), 6 * 8),
                ("bij,j->bij", torch.ones(8), (6, 8), 0),
                ("bi,ijk->bj", torch.ones(4, 5, 3), (4,), 4 * 5),
            )
        ),
        (
            Calling(
                lambda m, x: m.a(torch.nested.nested_tensor([*x])), a=nn.Linear(8, 2)
            ),
            *((5, 8), "aten.linear"),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
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


def test_einsums_of_many_networks_at_once_count_all():
    def together(self, x):
        return torch.func.vmap(lambda w: torch.einsum("bi,ij->bj", x, w))(self.weights)

    model = Calling(together, weights=nn.Parameter(torch.ones(3, 4, 5)))
    assert Probe(model, ((4,),), None, "cpu", 16).macs() == (3 * 4 * 5, set())


def test_what_cannot_be_copied_is_shared():
    def make():
        held = {"generator": torch.Generator(), "lock": threading.Lock()}
        return Calling(
            lambda m, x: m.a(x) + torch.rand(2, generator=m.generator),
            **{"a": nn.Linear(8, 2)} | held,
        )

    found = measure(make, (8,), ("size", "prediction"))
    assert (found.macs, found.notes) == (16, ())


def test_macs_that_depend_on_values_are_none_or_noted():
    words = Calling(reads, look=nn.Embedding(9, 8), lstm=nn.LSTM(8, 5))
    for _ in range(2):
        counted, unknown = Probe(words, ((7,), ()), None, "cpu", 4).macs()
        assert (counted, unknown) == (None, {"what depends on the inputs' values"})
    layers = {"a": nn.Linear(4, 4), "deep": nn.Linear(4, 4), "head": nn.Linear(4, 2)}
    profile = measure(Calling(branches, **layers), (4,))
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


def test_parametrized_layers_are_there_in_the_other_process():
    layers = parametrizations.weight_norm(nn.Linear(9, 9)), nn.ReLU(), nn.Linear(9, 2)
    model = nn.Sequential(*layers, parametrizations.spectral_norm(nn.Linear(2, 2)))
    profile = measure(model, (9,))
    assert (profile.num_parameters, profile.macs) == (99 + 20 + 6, 81 + 18 + 4)
    model.train()(torch.ones(1, 9)).sum().backward()  # norms still work


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


NAMES = torchvision.models.list_models(torchvision.models)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_that_torchvision_publishes(name, no_first_weights):
    assert len(NAMES) == 80
    models = torchvision.models
    weights = models.get_model_weights(name).DEFAULT
    side = weights.transforms().crop_size[0]
    # Published without the heads that only train, and at the weights' size.
    options = {"image_size": side} if name.startswith("vit") else {}
    if name == "googlenet":
        options = {"aux_logits": False}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    model = models.get_model(name, **options)
    macs, unknown = Probe(model, ((3, side, side),), None, "cpu", 1).macs()
    assert (round(macs / 1e9, 3), unknown) == (weights.meta["_ops"], set())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters == weights.meta["num_params"]


class Tied(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.a = nn.Linear(64, 64, bias=False)
        self.b = nn.Linear(64, 64, bias=False) if tied else self.a
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def test_what_is_shared_costs_once():
    parts = "size", "training_memory", "prediction"
    tied, once = (measure(Tied(it), (64,), parts) for it in (True, False))
    for field in ("num_parameters", "gradient_bytes", "optimizer_bytes", "macs"):
        assert getattr(tied, field) == getattr(once, field), field
    assert tied.weight_bytes == 4 * 64 * 64 < tied.file_bytes < 4 * 64 * 64 + 500
    assert tied.predicted_gpu_memory_mib == once.predicted_gpu_memory_mib


def test_what_shares_one_storage_is_there_once_in_the_other_process():
    layers = nn.Sequential(*[nn.Linear(9, 9) for _ in range(5)])
    vector = nn.utils.parameters_to_vector(layers.parameters()).detach()
    nn.utils.vector_to_parameters(vector, layers.parameters())
    assert measure(layers, (9,)).weight_bytes == 4 * 5 * 90
    rows = nn.Embedding(100, 8), nn.Linear(8, 50, bias=False)
    rows[1].weight = nn.Parameter(rows[0].weight.data[:50])
    turned = nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False)
    turned[1].weight = nn.Parameter(turned[0].weight.data.t())
    both = torch.ones(6, 8)
    columns = nn.Linear(4, 6, bias=False), nn.Linear(4, 6, bias=False)
    for layer, half in zip(columns, both.chunk(2, 1), strict=True):
        layer.weight = nn.Parameter(half)
    corner = nn.Linear(4, 6, bias=False), nn.Linear(4, 3, bias=False)
    corner[0].weight = nn.Parameter(both[:, :4])
    corner[1].weight = nn.Parameter(both[:3, 4:])
    part = nn.Linear(8, 6, bias=False), nn.Linear(4, 6, bias=False)
    part[0].weight, part[1].weight = nn.Parameter(both), nn.Parameter(both[:, :4])
    counts = 800, 64 * 64, 48, 24 + 12, 48
    pairs = rows, turned, columns, corner, part
    for pair, count in zip(pairs, counts, strict=True):
        one = Calling(lambda m, x: m.a(x), a=pair[0], b=pair[1])
        shape = (7,) if pair is rows else (pair[0].in_features,)
        found = measure(one, shape)
        assert found.num_parameters == count
        assert 4 * count < found.file_bytes < 4 * count + 200


def test_layers_and_weights_that_pytorch_does_not_know_of_are_noted(small):
    def forward(self, x):
        return self.head(self.hidden[0](x)) * self.scales[0]

    lists = {
        "hidden": [nn.Linear(9, 9)],
        "scales": [nn.Parameter(torch.ones(2), False)],
    }
    profile = measure(Calling(forward, head=nn.Linear(9, 2), **lists), (9,))
    assert (profile.num_parameters, profile.macs) == (20, 81 + 18)
    said = (
        "layers or weights that PyTorch does not know of are not counted, trained or "
        "saved: hidden, scales"
    )
    assert profile.notes == (said,)
    hidden = Calling(lambda self, x: self.head(x.flatten(1)), head=nn.Linear(784, 10))
    object.__setattr__(hidden, "teacher", nn.Linear(9, 9))
    hidden.scale = torch.ones(3, requires_grad=True)
    hidden.once = hidden.head.weight * 2  # what a weight norm keeps is computed anew
    with pytest.warns(TrainingWarning, match="saved: teacher, scale$"):
        fit_an_epoch(hidden, small.head(64, 10))
    layer = nn.Linear(784, 9, bias=False)
    closure = Calling(lambda m, x: m.head(layer(x.flatten(1))), head=nn.Linear(9, 10))
    with pytest.warns(TrainingWarning, match=r"saved: of shape \(9, 784\)$"):
        fit_an_epoch(closure, small.head(64, 10))
    assert "of shape (9, 784)" in measure(closure, (784,)).notes[0]


def activates(self, x):
    return self.head(self.functions["relu"](x))


def test_what_has_no_weights_of_its_own_is_not_noted():
    linear = nn.Linear(9, 2)
    calling = Calling(activates, head=linear, functions={"relu": nn.ReLU()})
    for make in lambda: torch.jit.trace(linear, torch.ones(2, 9)), lambda: calling:
        assert measure(make, (9,)).notes == ()


def test_weights_that_a_model_keeps_in_lists_and_dicts_too_are_predicted():
    def forward(self, x):
        for weight in tree_leaves(self.kept) or self.parameters():
            x = x @ weight
        return x

    found = []
    for kept_of in (lambda it: {}, lambda it: it, lambda it: list(it.values())):
        layers = {f"layer{n}": nn.Linear(64, 64, bias=False) for n in range(3)}
        weights = {name: layer.weight for name, layer in layers.items()}
        model = Calling(forward, kept=kept_of(weights), **layers)
        found.append(training_memory(lambda m=model: m, ((64,),), 16))
    assert found[0] == found[1] == found[2]


def test_tensors_that_a_model_keeps_outside_of_itself_have_contents():
    def forward(self, x, tables):
        table = tables.setdefault(x.shape[1], torch.ones(x.shape[1]))
        return self.head(x * table.cumsum(0))

    model = Calling(functools.partial(forward, tables={}), head=nn.Linear(9, 2))
    parts = "size", "training_time", "inference_time"
    profile = measure(model, (9,), parts)
    assert (profile.macs, profile.train_step_ms > 0) == (18, True)
    assert profile.latency_ms_p50 < 1  # a tensor without contents takes several
    assert profile.notes == () or "busy" in profile.notes[0]


def test_what_an_lstm_keeps_is_predicted():
    def last(self, x):
        return self.head(self.lstm(x)[0][:, -1])

    layers = {"lstm": nn.LSTM(64, 128, batch_first=True), "head": nn.Linear(128, 5)}
    found = allocated_mib(Calling(last, **layers), (50, 64), 64)
    # Of each step the four gates, the cell, its hyperbolic tangent and the output.
    assert found > 4 * 50 * 64 * 7 * 128 / 2**20


def test_what_is_compiled_in_place_wants_a_function():
    model = nn.Sequential(nn.Linear(9, 3))
    model[0].compile(backend="eager")
    with pytest.raises(tradeoffs.MeasureError, match=r"compiled in place.* a function"):
        measure(model, (9,))


def test_gradients_may_be_switched_off_in_a_file(tmp_path):
    file = tmp_path / "quiet.py"
    file.write_text(
        "import torch\ntorch.set_grad_enabled(False)\n"
        "def make():\n    return torch.nn.Linear(9, 3)\n"
    )
    profile = measure(f"{file}:make", (9,), ("training_memory", "prediction"))
    assert (profile.gradient_bytes, profile.notes) == (120, ())
    assert profile.predicted_gpu_memory_mib > 0


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
        profile = measure(model, (64,), "training_memory", batch_size=8)
        assert profile.activation_bytes == rest + kept


def test_step_that_is_killed_leaves_the_size():
    def forward(self, x):
        if self.training:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.head(x)

    parts = "training_time", "size", "inference_time"
    profile = measure(Calling(forward, head=nn.Linear(9, 3)), (9,), parts)
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
        (lambda m, x: m.head(x).argmax(1, keepdim=True), "must return real"),
        (
            lambda m, x: m.head(x) @ torch.ones(3 + m.training, 3),
            "while it trains, the model",
        ),
        (lambda m, x: m.head(x) if len(x) < 9 else m.nope, "while it trains.*'nope'"),
        (
            lambda m, x: m.head(x) if m.training or len(x) == 2 else m.nope,
            "while it is tested.*'nope'",
        ),
    ],
)
def test_network_that_cannot_be_trained_is_told_why(forward, message):
    model = Calling(lambda m, x: forward(m, x.flatten(1)), head=nn.Linear(24, 3))
    with pytest.raises(TrainingError, match=message):
        fit_an_epoch(model, pictures((6, 4), [0]))


def test_weights_in_one_place_are_not_updated_in_place():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    for shared in torch.ones(1, 24).expand(3, 24), torch.ones(26).unfold(0, 24, 1):
        model[1].weight = nn.Parameter(shared)
        said = r"a weight, 1\.weight, that is expanded"
        with pytest.raises(TrainingError, match=said):
            fit_an_epoch(model, pictures((6, 4), [0]))


OF_ADAM = {"optimizer": "adam", "momentum": 0.0, "nesterov": False}


@pytest.mark.parametrize("changed", [{}, OF_ADAM])
def test_a_weight_that_is_part_of_another_array_is_updated_alone(changed):
    def trained(view):
        array = torch.arange(24 * 9).view(24, 9) / 999
        model = Calling(lambda m, x: x.flatten(1) @ m.weight)
        model.weight = nn.Parameter(view(array))
        fit_an_epoch(model, pictures((6, 4), range(3)), **changed)
        return model.weight, array

    weight, array = trained(lambda array: array[:, :3])
    alone, before = trained(lambda array: array[:, :3].contiguous())
    assert torch.allclose(weight, alone)
    assert torch.equal(array[:, 3:], before[:, 3:])


def test_sparse_gradients_and_matrices_are_trained_or_said():
    def looks_up(self, x):
        places = x.flatten(1).long().clamp(0, 2)
        return functional.embedding(places, self.table, sparse=True).mean(1)

    data = pictures((6, 4), range(3))
    model = Calling(looks_up)
    model.table = nn.Parameter(torch.rand(3, 3))
    assert fit_an_epoch(model, data).test_loss < 2
    with pytest.raises(TrainingError, match="does not support sparse"):
        fit_an_epoch(model, data, **OF_ADAM)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    assert fit_an_epoch(model, data).test_loss < 2


def test_what_draws_random_numbers_in_use_repeats_for_a_seed():
    def forward(self, x):
        return self.head(functional.dropout(x.flatten(1), 0.5))

    found = []
    for state in 1, 2:
        model = Calling(forward, head=nn.Linear(24, 3))
        nn.init.constant_(model.head.weight, 0.1)
        nn.init.zeros_(model.head.bias)
        torch.manual_seed(state)
        expected = torch.get_rng_state()
        found.append(fit_an_epoch(model, pictures((6, 4), range(3))).test_loss)
        assert torch.equal(torch.get_rng_state(), expected)
    assert found[0] == found[1]


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
        theirs = measure(lambda: nn.Linear(4, 3), (4,))
        ours = measure("small_net", None)
    finally:
        torch.set_default_dtype(torch.float32)
    assert theirs.weight_bytes == 15 * 8
    assert ours.weight_bytes < 5 * ours.num_parameters


def two_heads(self, x):
    x = x.flatten(1)
    return (self.head(x), self.aux(x)) if self.training else self.head(x)


def dynamic(model, kind, dtype=torch.qint8):
    return torch.ao.quantization.quantize_dynamic(model, {kind}, dtype=dtype)


def quantised_convolution():
    quantization = torch.ao.quantization
    stubs = quantization.QuantStub(), quantization.DeQuantStub()
    layers = nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3)
    model = nn.Sequential(stubs[0], *layers, stubs[1]).eval()
    model.qconfig = quantization.get_default_qconfig("x86")
    quantization.prepare(model, inplace=True)(torch.rand(2, 1, 8, 8))
    return quantization.convert(model, inplace=True)


def quantised_by_reference():
    model = nn.Sequential(nn.Linear(5, 3)).eval()
    mapping = torch.ao.quantization.get_default_qconfig_mapping("x86")
    model = quantize_fx.prepare_fx(model, mapping, (torch.ones(4, 5),))
    return quantize_fx.convert_to_reference_fx(model)


def in_one_place(view):
    """Two layers whose weights are two parameters, and the same numbers."""
    tied = nn.Sequential(*[nn.Linear(64, 64, bias=False) for _ in range(2)])
    tied[1].weight = nn.Parameter(view(tied[0].weight.data))
    return tied


class WithMore(nn.Linear):
    """A layer whose file holds more than its weights."""

    def get_extra_state(self):
        return {"highest": torch.zeros(16)}

    def set_extra_state(self, state):
        pass


def of_two_parts():
    """A layer whose weight is made of two tensors, as quantised ones are."""
    layer = nn.Linear(8, 3)
    layer.weight = nn.Parameter(TwoTensor(torch.ones(3, 8), torch.ones(3, 8)))
    return layer


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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "shape", "count", "num_bytes"),
    [
        (
            lambda: dynamic(nn.Sequential(nn.LSTM(8, 16)), nn.LSTM),
            *((5, 8), 4 * 16 * (8 + 16 + 2), 4 * 16 * (24 + 2 * 4)),
        ),
        (quantised_convolution, (1, 8, 8), 40 + 435, 36 + 432 + 4 * 7 + 3 * 4),
        (
            lambda: dynamic(nn.Sequential(nn.Linear(50, 30)), nn.Linear, torch.float16),
            *((50,), 1530, 1500 * 2 + 30 * 4),
        ),
        # Of the input a scale and a zero point, of each output too, and an axis.
        (quantised_by_reference, (5,), 18, 72 + 8 + 3 * 16 + 8),
        (lambda: in_one_place(lambda weight: weight), (64,), 64**2, 4 * 64**2),
        (lambda: in_one_place(torch.Tensor.t), (64,), 64**2, 4 * 64**2),
        (lambda: WithMore(8, 3), (8,), 27, 108),
        (Graph, (6,), 21, 84 + 6 * (2 * 8 + 4)),
        (lambda: WithPhases(6, 3), (6,), 21, 84 + 3 * 16),
        (of_two_parts, (8,), 27, 2 * 96 + 12),
    ],
)
def test_weights_are_those_of_layers_however_they_are_kept(
    make, shape, count, num_bytes
):
    probe = Probe(make(), (shape,), None, "cpu", 16)
    found = probe.size()
    assert (found["num_parameters"], found["weight_bytes"]) == (count, num_bytes)
    assert probe.file_bytes() > num_bytes


@pytest.mark.parametrize(
    "script",
    [
        lambda layers: torch.jit.freeze(torch.jit.script(layers.eval())),
        lambda layers: torch.jit.script(dynamic(layers, nn.Linear)),
    ],
)
def test_weights_out_of_sight_are_not_counted_as_none(script):
    profile = measure(lambda: script(nn.Sequential(nn.Linear(9, 3))), (9,))
    assert profile.num_parameters is profile.weight_bytes is profile.file_bytes is None
    assert "weights were not counted: they are constants or" in profile.notes[0]


def test_weights_in_the_layout_of_onednn_are_counted():
    layers = nn.Linear(5, 3), nn.BatchNorm1d(3)
    model = mkldnn.to_mkldnn(nn.Sequential(*layers).eval())
    found = Probe(model, ((5,),), None, "cpu", 4).size()
    assert found["num_parameters"] == 18 + 6
    assert found["weight_bytes"] == 4 * (18 + 12) + 8


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
    profile = measure(model, (9,))
    assert (profile.num_parameters, profile.weight_bytes) == (30, 120)
    assert any(says in note for note in profile.notes)


def test_whether_inputs_are_looked_up_is_found_by_trying():
    places = Calling(lambda m, x: m.a(x), t=nn.Embedding(1, 3), a=nn.Linear(9, 3))
    words = Calling(
        lambda m, x: m.a(m.t(x).mean(1)), a=nn.Linear(6, 3), t=nn.Embedding(300, 6)
    )
    parts = "size", "training_time", "startup", "prediction"
    for model, macs in ((places, 27), (words, 18)):
        found = measure(model, (9,), parts)
        assert found.macs == macs
        assert found.train_step_ms > 0 < found.startup_seconds
        assert found.predicted_gpu_memory_mib > 0
    assert measure(places, (9,), input_dtype="float32").macs == 27
    table = nn.Embedding(5, 3)
    neither = Calling(lambda m, x: m.t(x) @ m.a(x), t=table, a=nn.Linear(9, 3))
    assert not any("given" in note for note in measure(neither, (9,)).notes)
    said = "it was given torch.int64, for want of an input_dtype"
    with pytest.raises(tradeoffs.MeasureError, match=said):
        measure(places, (8,), "inference_time")
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
    plain, dropping = (
        allocated_mib(nn.Sequential(make(p), nn.Flatten(), nn.Linear(4096, 2)))
        for p in (0.0, 0.3)
    )
    assert dropping < plain + 1.5 < plain + 4 * 2 * 8 * 256**2 / 2**20


def test_no_fused_attention_takes_double_precision():
    def kept(dtype):
        bias = nn.Parameter(torch.zeros(16, dtype=dtype))
        model = Calling(lambda m, x: by_name(x, m.b + x, x).mean(1), b=bias)
        return allocated_mib(model, (1_024, 16))

    products = 8 * 1_024**2 * 8 / 2**20
    assert kept(torch.float32) < products < kept(torch.float64)


@pytest.mark.parametrize("begin", [torch.autocast, torch.amp.autocast])
def test_autocast_on_a_gpu_is_predicted(begin):
    def forward(self, x, dtype):
        with begin("cuda", dtype):
            return self.layers(x)

    def kept(dtype):
        layers = nn.Sequential(*[nn.Linear(64, 64) for _ in range(8)])
        model = Calling(functools.partial(forward, dtype=dtype), layers=layers)
        return allocated_mib(model, (64,), 10_000)

    assert kept(torch.bfloat16) < 0.75 * kept(torch.float32)


def remembers(self, x):
    self.seen.append(self.a(x).detach().mean(0, keepdim=True))
    return self.a(x) @ torch.cat(self.seen).t()


def test_what_a_model_keeps_of_other_calls_is_not_counted():
    model = Calling(remembers, a=nn.Linear(8, 8), seen=[])
    profile = measure(model, (8,), ("size", "inference_time"))
    assert (profile.macs, profile.latency_ms_p50 > 0) == (2 * 64 + 8, True)


def test_a_compiled_model_is_counted_by_its_operators():
    layers = nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)
    compiled = torch.compile(nn.Sequential(*layers), backend="aot_eager")
    profile = measure(compiled, (8,), ("size", "inference_time", "prediction"))
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
    batch = ({0: torch.export.Dim("n", min=1)},)
    inputs = (torch.ones(2, 9),)
    return torch.export.export(nn.Linear(9, 3), inputs, dynamic_shapes=batch)


@pytest.mark.parametrize("make", [lambda: Stubborn(9, 3), lambda: exported().module()])
def test_modes_may_return_nothing_or_be_refused(make):
    profile = measure(make, (9,), ("size", "prediction", "training_memory"))
    assert (profile.num_parameters, profile.macs, profile.notes) == (30, 27, ())
    assert profile.predicted_gpu_memory_mib > 0
    assert profile.optimizer_bytes == 30 * 4
    with pytest.raises(TypeError, match=r"not ExportedProgram \(give a function that"):
        measure(exported(), (9,))


def test_type_of_the_inputs_is_that_of_the_first_layer():
    heat = nn.Parameter(torch.ones((), dtype=torch.float64))
    model = Calling(lambda m, x: m.a(x) / m.heat.float(), heat=heat, a=nn.Linear(9, 3))
    assert input_dtype(model) == torch.float32


def test_one_number_is_an_input():
    profile = measure(nn.Embedding(9, 4), ((),), ("size", "inference_time"))
    assert (profile.input_shape, profile.num_parameters) == (((),), 36)
    assert profile.latency_ms_p50 > 0
    assert measure(nn.Embedding(9, 4), (), input_dtype="int64").macs == 0


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient * ctx.x


def packs(self, x):
    with torch.autograd.graph.save_on_cpu():
        return self.b(torch.relu(self.a(x)))


@pytest.mark.parametrize(
    ("forward", "kept"),
    # What is squared and the squares, which are an attribute; or what is packed.
    [(lambda m, x: m.b(Square.apply(m.a(x))), 5 + 5), (packs, 5)],
)
def test_activations_are_counted_however_they_are_kept(forward, kept):
    model = Calling(forward, a=nn.Linear(6, 5), b=nn.Linear(5, 3))
    profile = measure(model, (6,), "training_memory", batch_size=8)
    # The input, log-probabilities, labels, and the weight that the mean divides by.
    assert profile.activation_bytes == 8 * (6 + kept + 3) * 4 + 8 * 8 + 4


def test_what_a_step_keeps_is_counted_beside_gradients_of_its_own():
    def slopes(self, x):
        slope = torch.func.grad(lambda row: self.a(row).square().sum())
        return self.b(torch.func.vmap(slope)(x))

    model = Calling(slopes, a=nn.Linear(6, 5), b=nn.Linear(6, 3))
    profile = measure(model, (6,), ("training_time", "training_memory"))
    assert profile.train_step_ms > 0
    assert (profile.gradient_bytes, profile.optimizer_bytes) == (56 * 4, 56 * 4)
    assert profile.activation_bytes > 16 * 6 * 4


def test_blocks_may_be_left_out_at_random():
    """So that some get their first gradient in a later step than others."""

    def forward(self, x):
        for block in self.blocks:
            if torch.rand(()) < 0.5:
                x = x + block(x)
        return self.head(x)

    blocks = nn.ModuleList(nn.Linear(6, 6) for _ in range(8))
    model = Calling(forward, blocks=blocks, head=nn.Linear(6, 3))
    assert measure(model, (6,), "training_time").train_step_ms > 0


def test_a_model_without_contents_is_predicted_as_any():
    empty, full = (
        tradeoffs.predict_memory(nn.Linear(900, 10, device=device), [((900,), 16)])
        for device in ("meta", "cpu")
    )
    assert empty.equals(full)


def test_one_part_that_cannot_be_had_leaves_the_others():
    heads = Calling(two_heads, head=nn.Linear(784, 10), aux=nn.Linear(784, 10))
    parts = "size", "inference_time", "training_time"
    profile = measure(heads, PICTURE, parts)
    assert (profile.num_parameters, profile.macs) == (15_700, 7_840)
    assert profile.latency_ms_p50 > 0
    assert profile.train_step_ms is None
    said = "while it trains, Calling returned a tuple"
    assert any(said in note for note in profile.notes)
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    pairs = measure(nn.Sequential(nn.Linear(8, 4), norm), (8,), parts)
    assert (pairs.macs, pairs.latency_ms_p50) == (32, None)
    assert pairs.inference_seconds > 0 and pairs.train_step_ms > 0
    said = "inference_time not measured: Sequential: there is no latency, for with one"
    assert any(said in note for note in pairs.notes)


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_are_measured_but_for_their_macs():
    layers = nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10)
    model = dynamic(nn.Sequential(*layers), nn.Linear)
    profile = measure(model, (784,), ("size", "inference_time"))
    assert profile.weight_bytes == 79_400 + 4 * 110
    assert profile.num_parameters == 79_510
    assert profile.latency_ms_p50 > 0
    assert profile.macs is None
    assert any("quantized.linear_dynamic" in note for note in profile.notes)


def test_activations_of_half_networks_include_what_losses_are_summed_in():
    model = nn.Linear(9, 1000, dtype=torch.bfloat16)
    profile = measure(model, (9,), "training_memory", batch_size=8)
    assert profile.activation_bytes == 8 * (9 * 2 + 1000 * 4 + 8) + 4


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_precision_is_the_model_s_own(dtype):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).to(dtype)
    profile = tradeoffs.measure(model, PICTURE, **QUICK)
    assert profile.notes == () or "busy" in profile.notes[0]
    assert profile.weight_bytes == 7850 * dtype.itemsize
    assert profile.predicted_gpu_memory_mib > 0


def test_inputs_may_be_words():
    table = nn.Embedding(50, 8, sparse=True)
    words = nn.Sequential(table, nn.Flatten(), nn.Linear(160, 2))
    profile = measure(words, (20,), ("size", "training_time"))
    assert (profile.num_parameters, profile.macs) == (400 + 322, 320)
    assert profile.train_step_ms > 0


def test_inputs_may_be_several():
    pair = Calling(
        lambda m, x, y: m.a(x) + m.b(y.float()), a=nn.Linear(4, 2), b=nn.Linear(3, 2)
    )
    both = measure(pair, ((4,), (3,)), ("size", "training_time", "prediction"))
    assert both.input_shape == ((4,), (3,))
    assert (both.macs, both.train_step_ms) == (14, None)
    assert both.predicted_gpu_memory_mib > 0
    assert any("models of one input" in note for note in both.notes)
    mixed = Calling(
        lambda m, ids, x: m.look(ids).mean(1) + m.a(x),
        look=nn.Embedding(9, 2),
        a=nn.Linear(4, 2),
    )
    dtypes, parts = ("int64", "float32"), ("size", "startup", "prediction")
    found = measure(mixed, ((7,), (4,)), parts, input_dtype=dtypes)
    assert (found.macs, found.startup_seconds > 0, found.notes) == (8, True, ())
    assert found.predicted_gpu_memory_mib > 0
    with pytest.raises(tradeoffs.MeasureError, match="one for each of 2 inputs"):
        measure(pair, ((4,), (3,)), parts, input_dtype=["int64"])


def test_lazy_layers_and_tensors_that_are_no_buffers_are_predicted():
    scale = torch.full((10,), 2.0)
    lazy = nn.LazyLinear(10), Calling(lambda m, x: x * scale)
    table = tradeoffs.predict_memory(nn.Sequential(*lazy), [((9,), 16)])
    assert table.allocated_mib[0] > 0
    found = measure(nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 2)), (9,), "size")
    assert (found.macs, found.notes) == (9 * 5 + 5 * 2, ())
    old = nn.utils.weight_norm(nn.Linear(9, 4))
    assert measure(old, (9,), "prediction").predicted_gpu_memory_mib > 0


def test_probabilities_of_a_pytorch_model_are_warned_of(small):
    layers, few = (nn.Flatten(), nn.Linear(784, 10)), small.head(64, 10)
    with pytest.warns(UserWarning, match="a softmax of a softmax"):
        net = nn.Sequential(*layers, nn.Softmax(1))
        fit_an_epoch(net, few)
    noted = measure(net, PICTURE, "training_time").notes
    assert sum("a softmax of a softmax" in note for note in noted) == 1
    function = Calling(lambda s, x: s.net(x).sigmoid(), net=nn.Sequential(*layers))
    for ends in (nn.Sequential(*layers, nn.Sigmoid(), nn.Identity()), function):
        with pytest.warns(UserWarning, match="a softmax of a sigmoid"):
            fit_an_epoch(ends, few)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for last in (nn.Identity(), nn.LogSoftmax(1)):
            fit_an_epoch(nn.Sequential(*layers, last), few)
        gated = {"head": nn.Linear(784, 10), "gate": nn.Sigmoid()}
        fit_an_epoch(
            Calling(lambda s, x: s.head((x * s.gate(x)).flatten(1)), **gated), few
        )


def test_softmax_in_use_alone_changes_nothing_but_the_outputs(small):
    """As of a model that returns `z if self.training else z.softmax(1)`."""
    few, found = small.head(64, 10), []
    for share in (False, True):
        torch.manual_seed(0)
        net = Calling(
            lambda s, x, share=share: (
                s.head(x.flatten(1)).softmax(1)
                if share and not s.training
                else s.head(x.flatten(1))
            ),
            head=nn.Linear(784, 10),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found.append(fit_an_epoch(net, few))
    for column in ("train_loss", "test_loss", "test_accuracy"):
        logits, shares = (run.history[column].tolist() for run in found)
        assert shares == pytest.approx(logits, rel=1e-4), column


def test_what_other_threads_compute_is_named():
    def forward(self, x):
        return sum(self.pool.map(lambda layer: layer(x), (self.one, self.other)))

    def by_keyword(self, x):
        return self.pool.submit(lambda begin: begin(x), begin=self.one).result()

    layers = {"one": nn.Linear(8, 8), "other": nn.Linear(8, 8)}
    with ThreadPoolExecutor(2) as pool:
        ways = forward, forward, by_keyword  # at the second its threads have begun
        for model in [Calling(way, pool=pool, **layers) for way in ways]:
            counted = Probe(model, ((8,),), None, "cpu", 4).macs()
            assert counted == (None, {"what other threads compute"})


def test_empty_buffers_grow_in_the_other_process_too():
    def forward(self, x):
        return self.head(x) + self.seen.resize_(3)

    growing = Calling(forward, head=nn.Linear(9, 3))
    growing.register_buffer("seen", torch.tensor([]))
    profile = measure(growing, (9,))
    assert (profile.num_parameters, profile.macs) == (30, 27)
    assert profile.file_bytes > 120


def test_products_that_a_script_hands_to_onednn_are_named():
    layers = nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3)
    script = torch.jit.script(nn.Sequential(*layers).eval())
    model = torch.jit.optimize_for_inference(script)
    counted = Probe(model, ((1, 8, 8),), None, "cpu", 4).macs()
    assert counted == (None, {"mkldnn_convolution"})


def test_layers_that_take_the_batch_second_are_noted():
    for batch_first in (True, False):
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        notes = measure(nn.Sequential(layer), (5, 8)).notes
        assert any("batch_first=False" in note for note in notes) != batch_first


def test_a_script_of_a_list_of_layers_has_its_weights():
    def make():
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        return nn.TransformerEncoder(layer, 2)  # in an `nn.ModuleList`

    eager = measure(make, (5, 8))
    script = measure(lambda: torch.jit.script(make()), (5, 8))
    for field in ("num_parameters", "weight_bytes"):
        assert getattr(script, field) == getattr(eager, field) > 0, field


def flattens_by_view(self, x):
    return self.b(self.a(x).view(len(x), -1))


def standardizes_weights(self, x):
    weight = self.a.weight
    deviation = weight.view(len(weight), -1).std(1).view(-1, 1, 1, 1)
    return self.b(functional.conv2d(x, weight / deviation, self.a.bias).flatten(1))


@pytest.mark.parametrize("function", (flattens_by_view, standardizes_weights))
def test_layout_is_one_that_the_model_takes(function, small):
    model = Calling(function, a=nn.Conv2d(1, 8, 3), b=nn.Linear(8 * 26 * 26, 10))
    parts = "size", "training_time", "training_memory", "inference_time"
    profile = measure(model, PICTURE, parts)
    assert profile.macs == 26 * 26 * 8 * 9 + 8 * 26 * 26 * 10
    assert not any("not measured" in note for note in profile.notes)
    assert fit_an_epoch(model, small.head(64, 10)).num_parameters == 80 + 54_090


@pytest.mark.parametrize(
    ("moved", "alone"),
    [(lambda x: x + torch.tensor([0, 10, 59]), 0), (lambda x: x - 1, 1)],
)
def test_few_whole_numbers_are_tried_where_a_model_moves_them(moved, alone):
    def forward(self, x):
        return self.head(self.table(moved(x)).flatten(1))

    model = Calling(forward, table=nn.Embedding(60, 4), head=nn.Linear(12, 2))
    profile = measure(model, (3,), ("size", "training_time", "inference_time"))
    assert (profile.num_parameters, profile.macs) == (240 + 26, 24)
    assert profile.epoch_seconds > 0 < profile.latency_ms_p50
    assert f"the model was given {alone} alone, as others fail" in profile.notes


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


def test_last_image_joins_those_before():
    def squeezes(self, x):  # and a norm takes no image alone while it trains
        return self.head(self.norm(x.flatten(1).squeeze()))

    images, labels = np.zeros((1_001, 6, 4), np.uint8), np.arange(1_001) % 2
    data = Dataset("mine", images[:33], labels[:33], images, labels)
    model = Calling(squeezes, norm=nn.BatchNorm1d(24), head=nn.Linear(24, 2))
    run = fit_an_epoch(model, data)
    assert np.isfinite(run.history.train_loss).all()
    assert len(run.test_predictions) == 1_001


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_fit_trains_where_no_gradients_are_kept(without):
    layers = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(16, 2)
    with without():
        run = fit_an_epoch(nn.Sequential(*layers), pictures((6, 4), [0, 1]))
    assert run.test_loss > 0


def plane_and_solid(self, x):
    return self.head(self.solid(self.plane(x)[:, None]).flatten(1))


def descends_in_an_energy(self, x):
    with torch.enable_grad():
        x = x.requires_grad_()
        energy = self.a(x).square().sum()
        return self.head((x - torch.autograd.grad(energy, x)[0]).flatten(1))


def of_two_precisions(self, x):
    return self.head(self.a(x.flatten(1)).float())


HALF = nn.Linear(24, 8).half().requires_grad_(False)


@pytest.mark.parametrize(
    ("function", "layers", "count"),
    [
        (
            plane_and_solid,
            {"plane": nn.Conv2d(1, 4, 3, padding=1)}
            | {"solid": nn.Conv3d(1, 2, 3, padding=1), "head": nn.Linear(192, 2)},
            40 + 56 + 386,
        ),
        (
            descends_in_an_energy,
            {"a": nn.Conv2d(1, 2, 3), "head": nn.Linear(24, 2)},
            20 + 50,
        ),
        (of_two_precisions, {"a": HALF, "head": nn.Linear(8, 2)}, 200 + 18),
        (
            lambda m, x: m.head(m.a(x).flatten(1)),
            {"a": nn.LazyConv2d(2, 3), "head": nn.LazyLinear(2)},
            20 + 34,
        ),
    ],
)
def test_networks_of_any_kind_are_trained(function, layers, count):
    model = Calling(function, **layers)
    model.unused = nn.Parameter(torch.ones(1).double(), requires_grad=False)
    run = fit_an_epoch(model, pictures((6, 4), [0, 1]))
    assert (run.experiment.model, run.num_parameters) == ("Calling", count + 1)
    assert run.test_loss > 0


def test_lazy_networks_start_from_weights_of_their_own():
    lazy = [nn.Sequential(nn.Flatten(), nn.LazyLinear(2)) for _ in range(2)]
    for model in lazy:
        fit_an_epoch(model, pictures((6, 4), [0, 1]), learning_rate=1e-9)
    assert not torch.allclose(lazy[0][1].weight, lazy[1][1].weight)


def test_a_model_that_works_in_place_leaves_the_images_alone():
    def shifts(self, x):
        x -= 0.5
        return self.head(x.flatten(1))

    model = Calling(shifts, head=nn.Linear(24, 2))
    data = pictures((6, 4), [0, 1], np.float32)
    options = {"learning_rate": 1e-12, "epochs": 3, "milestones": ()}
    schedule = ARTICLE.replace(**options)
    run = tradeoffs.fit(model, data, schedule, np.int64(3))
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
    ],
)
def test_data_that_do_not_fit_are_one_clear_sentence(make, said):
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 10))
    with pytest.raises((ValueError, TrainingError), match=said) as caught:
        fit_an_epoch(model, make())
    assert "\n" not in str(caught.value)


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
        tradeoffs.predict_memory(model, [((9,), 4)])


def test_large_models_are_used_on_fewer_inputs_at_once():
    model = nn.Conv2d(1, 64, 5)
    for parts in ("inference_memory", ("size", "inference_memory")):
        profile = measure(model, (1, 128, 128), parts)
        assert profile.inference_batch_size == 2 * 10**10 // (124**2 * 64 * 25)
    small = measure(model, (1, 9, 9), "inference_memory")
    assert small.inference_batch_size == 1000
    assert "inference" not in repr(measure(model, (1, 9, 9))).splitlines()[0]


def test_want_of_memory_names_the_batch_that_was_too_large():
    with pytest.raises(tradeoffs.MeasureError, match="at batch size 10000000000"):
        measure(nn.Linear(9, 2), (9,), "inference_time", inference_batch_size=10**10)
    huge = Calling(lambda m, x: m.a(x.repeat(1, 10**13)), a=nn.Linear(4, 2))
    options = QUICK | {"batch_size": 1, "inference_batch_size": 1}
    with pytest.raises(tradeoffs.MeasureError, match="even at batch size 1"):
        tradeoffs.measure(huge, (4,), **options)
