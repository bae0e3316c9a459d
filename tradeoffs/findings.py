"""Our number for each claim of the article, computed from the evidence.

`FINDINGS` has one function a claim, under the claim's id in `claims.csv`: those of
counts and memory are here, the others on the pages that it gathers.
"""

from tradeoffs.article import LARGE_BATCH, SMALL_BATCH
from tradeoffs.claim import ESTIMATE, TIMES, Finding
from tradeoffs.data_findings import DATA_FINDINGS
from tradeoffs.measurements import LARGE_PICTURE, PICTURE, VOLUME
from tradeoffs.probes.profile import MIB
from tradeoffs.returns import rule_of_thumb
from tradeoffs.score_findings import AS_DESCRIBED, SCORE_FINDINGS
from tradeoffs.time_findings import TIME_FINDINGS

FIRST_LINEAR = 320 * 50 + 50  # weights and biases, of the PyTorch CNN
LAST_LINEAR = 8 * 10 + 10  # of the Small Net
LAST_CONVOLUTION = 8 * 10 * 1 * 1 + 10  # in its place, with a kernel of 1 x 1
TRAINING_IMAGES = 60_000  # of MNIST


def _count(evidence, model):
    return Finding(evidence.profile(model).num_parameters)


def _ratio(evidence, larger, smaller, field="num_parameters"):
    above, below = (getattr(evidence.profile(m), field) for m in (larger, smaller))
    return Finding(above / below)


def _weights(evidence, model):
    return Finding(evidence.profile(model).weight_bytes / MIB)


def _smaller_footprint(evidence):
    pairs = evidence.pairs()
    less = sum(small.weight_bytes < large.weight_bytes for small, large in pairs)
    return Finding(100 * less / len(pairs))


def _memory(evidence, model, batch_size):
    profile = evidence.profile(model)
    measured = profile.accelerator_process_mib
    if measured is not None and profile.batch_size == batch_size:
        return Finding(measured, TIMES)
    return Finding(evidence.memory_mib(model, PICTURE, batch_size), ESTIMATE)


def _memory_of_an_image(evidence, model):
    small, large = SMALL_BATCH, LARGE_BATCH
    mib = [evidence.memory_mib(model, PICTURE, size) for size in (small, large)]
    return Finding((mib[1] - mib[0]) * MIB / 1000 / (large - small), ESTIMATE)


def _gap_of_larger_images(evidence):
    gaps = [
        evidence.memory_mib("keras_cnn", shape, 1)
        - evidence.memory_mib("pytorch_cnn", shape, 1)
        for shape in (LARGE_PICTURE, PICTURE)
    ]
    return Finding(gaps[0] / gaps[1])


def _rule(evidence):
    return rule_of_thumb(TRAINING_IMAGES, evidence.pixels())


FINDINGS = {
    **SCORE_FINDINGS,
    **DATA_FINDINGS,
    **TIME_FINDINGS,
    "smaller-footprint": _smaller_footprint,
    "convolutions-are-memory-hungry": lambda e: Finding(
        e.memory_mib("pytorch_cnn", PICTURE, LARGE_BATCH)
        / e.memory_mib("keras_mlp", PICTURE, LARGE_BATCH)
    ),
    "keras-mlp-parameters": lambda e: _count(e, "keras_mlp"),
    "keras-cnn-parameters": lambda e: _count(e, "keras_cnn"),
    "pytorch-cnn-parameters": lambda e: _count(e, "pytorch_cnn"),
    "keras-cnn-to-keras-mlp": lambda e: _ratio(e, "keras_cnn", "keras_mlp"),
    "keras-cnn-to-pytorch-cnn": lambda e: _ratio(e, "keras_cnn", "pytorch_cnn"),
    "keras-mlp-to-pytorch-cnn": lambda e: _ratio(e, "keras_mlp", "pytorch_cnn"),
    "pytorch-cnn-memory": lambda e: _memory(e, "pytorch_cnn", SMALL_BATCH),
    "pytorch-cnn-memory-large-batch": lambda e: _memory(e, "pytorch_cnn", LARGE_BATCH),
    "keras-cnn-memory": lambda e: _memory(e, "keras_cnn", SMALL_BATCH),
    "keras-cnn-memory-large-batch": lambda e: _memory(e, "keras_cnn", LARGE_BATCH),
    "pytorch-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "pytorch_cnn"),
    "keras-cnn-memory-of-an-image": lambda e: _memory_of_an_image(e, "keras_cnn"),
    "pytorch-cnn-size": lambda e: _weights(e, "pytorch_cnn"),
    "keras-cnn-size": lambda e: _weights(e, "keras_cnn"),
    "larger-images-widen-the-gap": _gap_of_larger_images,
    "a-volume-does-not-fit": lambda e: Finding(
        e.memory_mib("keras_cnn", VOLUME, 1) / 1024
    ),
    "a-million-is-above-the-rule": lambda e: Finding(
        e.profile("keras_cnn").num_parameters / _rule(e).upper
    ),
    "most-parameters-in-first-linear": lambda e: Finding(
        100 * FIRST_LINEAR / e.profile("pytorch_cnn").num_parameters
    ),
    "pytorch-cnn-to-gap-cnn": lambda e: _ratio(e, "pytorch_cnn", "gap_cnn"),
    "gap-cnn-parameters": lambda e: _count(e, "gap_cnn"),
    "gap-cnn-size": lambda e: _weights(e, "gap_cnn"),
    "gap-cnn-saves-arithmetic": lambda e: _ratio(e, "gap_cnn", "pytorch_cnn", "macs"),
    "small-net-parameters": lambda e: _count(e, "small_net"),
    "small-net-parameters-as-described": lambda e: Finding(
        e.runs("small_net", **AS_DESCRIBED)[0].num_parameters
    ),
    "last-layer-as-a-convolution": lambda e: Finding(
        e.profile("small_net").num_parameters - LAST_LINEAR + LAST_CONVOLUTION
    ),
    "batch-norm-parameters": lambda e: Finding(
        e.runs("small_net")[0].num_parameters
        - e.runs("small_net", batch_norm=False)[0].num_parameters
    ),
    "pixels": lambda e: Finding(e.pixels()),
    "fewer-parameters-than-pixels": lambda e: _count(e, "small_net"),
    "rule-of-thumb-upper": lambda e: Finding(_rule(e).upper),
    "rule-of-thumb-lower": lambda e: Finding(_rule(e).lower),
}
