"""The claims of the article, their evidence, and how a verdict comes about."""

import dataclasses
import io
import itertools
import json
import math
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from torch import nn

import tradeoffs
from tradeoffs import article, measurements, records, verdicts
from tradeoffs.__main__ import main
from tradeoffs.claim import UNDECIDED, VERDICTS, Claim
from tradeoffs.findings import FINDINGS, LAST_CONVOLUTION, LAST_LINEAR
from tradeoffs.intervals import (
    BASES,
    Finding,
    difference,
    largest,
    mean,
    smallest,
    student,
)
from tradeoffs.measurements import Evidence, EvidenceError
from tradeoffs.models import MODELS
from tradeoffs.recorded import NETS_OF_THE_TEXT, POOLINGS, SMALL_NETS
from tradeoffs.recording import (
    DEAD_AFTER,
    MEMORY_POINTS,
    record_profiles,
    seeds_counted,
)
from tradeoffs.training.pytorch import images_to_tensor
from tradeoffs.weights import SEEDS_KEPT


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The recorded results, to spoil."""
    folder = tmp_path / "results"
    shutil.copytree(records.results_folder(), folder)
    monkeypatch.setenv("TRADEOFFS_RESULTS", str(folder))
    return folder


@pytest.fixture(scope="module")
def table():
    return tradeoffs.claims()


def verdict_of(claim_id):
    """Of one claim alone, as `claims` computes it for each."""
    (asked,) = (one for one in verdicts.listed() if one.id == claim_id)
    return asked.verdict(FINDINGS[claim_id](Evidence()))


def test_claims_are_a_table_with_a_row_a_claim(table):
    assert list(table.index) == [claim.id for claim in verdicts.listed()]
    assert set(table.index) == set(FINDINGS)
    assert table.index.is_unique
    assert not table.isna().any(axis=None)
    assert set(table.basis) <= set(BASES)
    assert (table[["tolerance", "matters"]] >= 0).all(axis=None)
    assert (table.reason.str.strip() != "").all()
    said = r"(\d+) (?:hold|do |does|is und|are und|cannot)"
    counted = re.findall(said, verdicts.tally(table))
    assert sum(map(int, counted)) == len(table)
    assert verdicts.tally(table).startswith(f"Of {len(table)} claims, ")
    assert table.quote.str.split().str.len().between(2, 7).all()
    assert (verdicts.written(table).here.str.len() > 0).all()
    assert ((table.low <= table.ours) & (table.ours <= table.high)).all()
    undecided = table.verdict == UNDECIDED
    assert (table.would_decide[undecided].str.len() > 0).all()
    assert (table.would_decide[~undecided] == "").all()


def test_tally_keeps_counts_apart():
    bases = ["a count", "a count", "recorded runs", "recorded runs"]
    found = ["holds", "does not hold", "holds", "holds"]
    assert verdicts.tally(pd.DataFrame({"basis": bases, "verdict": found})) == (
        "Of 4 claims, 2 are counts or arithmetic: 1 holds, 1 does not hold. "
        "Of the other 2, 2 hold."
    )


def test_claims_cover_numbers_and_words_of_every_section(table):
    assert len(table) >= 40
    assert table.section.nunique() == 5
    assert {c.test for c in verdicts.listed()} >= {"within", "rounds", "above"}
    for model, parameters in article.NUM_PARAMETERS.items():
        row = table.loc[f"{model.replace('_', '-')}-parameters"]
        assert row.article == row.ours == parameters
        assert row.verdict == "holds"


def test_readings_of_the_small_net_name_the_best():
    found = Evidence()
    for kernel in ({}, {"kernel_size": 5}):
        for quantity, best in (("accuracies", max), ("losses", min)):
            of = getattr(found, quantity)
            scores = {
                place: of("small_net", **kernel, **pooling).mean()
                for place, pooling in POOLINGS.items()
            }
            assert best(scores, key=scores.get) == "the first, by 4"
    named = [c for c in verdicts.listed() if "best of seven readings" in c.statement]
    assert len(named) == 6
    assert all("(by 4 after the first convolution)" in c.statement for c in named)


def test_every_verdict_follows_the_figures():
    """A claim that holds fails once the article says something far off."""
    found = Evidence()
    held = 0
    for claim in verdicts.listed():
        finding = FINDINGS[claim.id](found)
        if not claim.verdict(finding).startswith("holds"):
            continue
        held += 1
        far = 1000 + 1000 * abs(finding.value)
        sign = -1 if claim.test in ("below", "at most") else 1
        other = dataclasses.replace(claim, article=sign * far)
        assert other.verdict(finding) == "does not hold", claim.id
    assert held > 30


MADE_UP = {"id": "made-up", "section": "s", "quote": "a few words"}
MADE_UP |= {"statement": "t", "article": 50.0}
MADE_UP |= {"unit": "s", "test": "within", "reason": "for this test"}


def claim(**changes):
    return Claim(**MADE_UP | changes)


def interval(low, high, basis="recorded runs"):
    return Finding((low + high) / 2, basis, low, high)


@pytest.mark.parametrize(
    ("test", "tolerance", "holds", "fails", "undecided"),
    [
        ("within", 0, [50], [50.1, 49], []),
        ("within", 2, [48, 52, (48, 52)], [47.9, 52.1, (52.5, 60)], [(51, 53)]),
        ("within", 2, [(49, 51)], [(40, 47)], [(40, 60)]),
        ("within a factor", 2, [25, 100, (25, 100)], [24.9, 101, (1, 24)], [(20, 30)]),
        ("rounds", 1, [45.1, 54.9], [44.9, 55.1], []),
        ("rounds", 2, [49.6, 50.4], [49.4, 50.6], []),
        ("above", 0, [50.1, (50.1, 60)], [50, 49, (40, 50)], [(49, 51)]),
        ("below", 0, [49.9, (40, 49.9)], [50, 51, (50, 60)], [(49, 51)]),
        ("at least", 0, [50, 51], [49.9], []),
        ("at least", 1, [49, (49, 70)], [48.9, (40, 48)], [(48, 50)]),
        ("at most", 1, [51, 0, (40, 51)], [51.1, (52, 53)], [(50, 52)]),
    ],
)
def test_one_rule_for_every_interval(test, tolerance, holds, fails, undecided):
    made = claim(test=test, tolerance=tolerance)
    expected = {"holds": holds, "does not hold": fails, "undecided": undecided}
    for verdict, found in expected.items():
        for ends in found:
            low, high = ends if isinstance(ends, tuple) else (ends, ends)
            assert made.verdict(interval(low, high)) == verdict, ends


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, "holds"),
        (-0.5, 0.9, "does not hold"),
        (-0.5, 1.1, "undecided"),
        (-2, -1, "does not hold"),
    ],
)
def test_an_effect_too_small_to_matter_does_not_hold(low, high, verdict):
    made = claim(test="above", article=0, matters=1)
    assert made.verdict(interval(low, high)) == verdict


def test_undecided_says_how_many_runs_would_decide():
    made = claim(test="at least", article=0)
    near = mean([-1.0, 1.0, 0.5, 0.7])
    assert made.verdict(near) == UNDECIDED
    number = int(re.fullmatch(r"about (\d+) runs", made.would_decide(near))[1])
    assert made.verdict(near.again(number - 1)) == UNDECIDED
    assert made.verdict(near.again(number)) == "holds"
    # One more run lies where it does, however many there are.
    one = mean([-1.0, 1.0, 0.5, 0.7], one_more=True)
    assert made.would_decide(one) == "no number of runs"
    assert one.again(4).margin == pytest.approx(one.margin)
    # Of very many, 1.96 deviations.
    assert one.again(10**6).margin == pytest.approx(1.96 * 0.8907, rel=1e-2)
    assert made.would_decide(interval(1, 2)) == ""
    assert made.would_decide(interval(-1, 2)) == "not known"
    turns = Finding(0, "times on this machine", -1, 1)
    assert made.would_decide(turns) == "turns that lie less apart"


def test_more_runs_of_both_are_what_welch_says_of_them():
    few, many = [0.9, 1.0, 1.1], np.repeat([0.0, 0.2], 10)
    found = difference(few, many, one_more=True)
    assert found.again(3) == found.again(2) == found
    limit = 1.96 * np.sqrt(np.var(few, ddof=1) + np.var(many, ddof=1))
    assert found.again(10**6).margin == pytest.approx(limit, rel=1e-3)
    # Twenty of each: the three become twenty, and the others stay.
    twenty = np.array([np.var(few, ddof=1), np.var(many, ddof=1)])
    degrees = 19 * sum(twenty) ** 2 / sum(twenty**2)
    margin = student(degrees) * np.sqrt(sum(twenty) * (1 + 1 / 20))
    assert found.again(20).margin == pytest.approx(margin)
    assert mean([2.0, 2.0, 2.0]).margin == 0


def test_largest_and_smallest_keep_what_holds_for_all():
    several = [interval(1, 3), interval(0, 6), interval(2, 3)]
    found = largest(several)
    assert (found.value, found.low, found.high) == (3, 2, 6)
    found = smallest(several)
    assert (found.value, found.low, found.high) == (2, 0, 3)
    # With more seeds each of them is surer by itself.
    for several in ([1.0, 2.0, 3.0], [-30.0, 30.0]), ([1.0, 3.0], [-28.0, 32.0]):
        means = [mean(values) for values in several]
        for choose in (largest, smallest):
            more = choose([one.again(50) for one in means])
            assert choose(means).again(50) == more


def test_verdict_says_what_a_figure_rests_on():
    by_basis = {
        basis: [claim().verdict(Finding(value, basis)) for value in (50, 60)]
        for basis in BASES
    }
    assert by_basis == {
        "a count": ["holds", "does not hold"],
        "recorded runs": ["holds", "does not hold"],
        "times on this machine": ["holds on this machine", "does not hold"],
        "an estimate": ["cannot be checked here", "cannot be checked here"],
    }


def test_a_figure_that_is_not_whole_is_refused():
    with pytest.raises(ValueError, match="must be finite"):
        Finding(math.nan)
    with pytest.raises(ValueError, match="is not between its ends"):
        Finding(1, low=2, high=3)


@pytest.mark.parametrize(
    ("test", "bound"),
    [
        ("within", "50.0 %"),
        ("above", "> 50.0 %"),
        ("below", "< 50.0 %"),
        ("at least", "≥ 50.0 %"),
        ("at most", "≤ 50.0 %"),
    ],
)
def test_bounds_and_margins_are_written(test, bound):
    asked = claim(test=test, article=50, tolerance=0.5, decimals=1, unit="%")
    assert asked.write_bound() == bound
    beyond = {"at least": ", or 0.5 points less", "at most": ", or 0.5 points more"}
    assert asked.agrees_if().endswith("50.0 %" + beyond.get(test, ""))
    # Without a number of the article's the bound is what is allowed.
    words = claim(test="at most", article=0, tolerance=0.5, decimals=1, unit="%")
    assert (words.write_bound(), words.agrees_if()) == ("≤ 0.5 %", "at most 0.5 %")
    assert asked.write(51.04) == "51.0 %"
    assert asked.write(interval(49.78, 52.3)) == "51.0 (49.8 to 52.3) %"


def test_margins_are_the_known_formulas():

    values, others = [1.0, 2.0, 4.0], [3.0, 3.5, 5.0, 4.0]
    found = mean(values, one_more=True)
    spread = stats.tstd(values) * math.sqrt(1 + 1 / 3)
    assert found.margin == pytest.approx(stats.t(2).ppf(0.975) * spread)
    welch = stats.ttest_ind(values, others, equal_var=False)
    student = stats.ttest_1samp(values, 0)
    for found, test in ((difference(values, others), welch), (mean(values), student)):
        ends = found.value - found.margin, found.value + found.margin
        assert ends == pytest.approx(test.confidence_interval(0.95))
    # Of as many runs each, a further pair lies off by one more run's spread.
    one, pair = (difference(values, others[:3], one_more=m) for m in (False, True))
    assert pair.margin == pytest.approx(one.margin * math.sqrt(3 + 1))


@pytest.mark.parametrize(
    ("file", "claim_id", "makes"),
    [
        (
            "article/small_net,kernel_size=5-pytorch-seed4.json",
            "small-net-parameters-as-described",
            "reproduce",
        ),
        ("profiles/keras_mlp.json", "", "measure --record"),
        ("gpu_memory.json", "convolutions-are-memory-hungry", "measure --record"),
        ("small_net_search.csv", "further-reduction-costs", "search"),
    ],
)
def test_a_claim_that_loses_its_evidence_is_an_error(copy, file, claim_id, makes):
    (copy / file).unlink()
    with pytest.raises(EvidenceError, match="no evidence for the claim") as caught:
        tradeoffs.claims()
    said = str(caught.value)
    assert "\n" not in said
    assert str(copy / file) in said
    assert claim_id in said
    assert f"python -m tradeoffs {makes}" in said


def test_damaged_evidence_is_an_error_that_names_the_file(copy):
    (copy / "gpu_memory.json").write_text('{"format": 1, "rows": []}')
    point = "keras_mlp", *MEMORY_POINTS["keras_mlp"][0]
    with pytest.raises(EvidenceError, match="has nothing for"):
        Evidence().memory_mib(*point)
    (copy / "gpu_memory.json").write_text('{"format": 1')
    with pytest.raises(EvidenceError, match=r"gpu_memory\.json is not whole"):
        Evidence().memory_mib(*point)
    path = measurements.profile_path("small_net")
    path.write_text(measurements.profile_path("gap_cnn").read_text())
    with pytest.raises(EvidenceError, match="is the profile of gap_cnn"):
        tradeoffs.recorded_profiles()


@pytest.mark.parametrize(
    ("ratio", "in_all_turns", "in_some"),
    [
        (6, "holds on this machine", "holds on this machine"),
        (8, "holds on this machine", "undecided"),
        (20, "does not hold", "does not hold"),
    ],
)
def test_times_decide_on_this_machine(copy, ratio, in_all_turns, in_some):
    profile = measurements.recorded_profile("keras_cnn")
    small = measurements.recorded_profile("pytorch_cnn")
    turns = np.array(small.turns["epoch_seconds"])
    # Slower in the first of the turns, and less so in the last.
    for slower, verdict in ((1, in_all_turns), (1.4, in_some)):
        seconds = ratio * turns * np.geomspace(slower, 1 / slower, len(turns))
        changes = {"turns": {"epoch_seconds": tuple(seconds)}}
        path = measurements.profile_path("keras_cnn")
        dataclasses.replace(profile, **changes).save(path)
        assert verdict_of("epoch-ratio") == verdict


def test_gpu_memory_is_checked_once_a_gpu_measured_it(copy):
    assert verdict_of("keras-cnn-memory") == "cannot be checked here"
    path = measurements.profile_path("keras_cnn")
    profile = measurements.recorded_profile("keras_cnn")
    dataclasses.replace(profile, accelerator_process_mib=900.0).save(path)
    assert verdict_of("keras-cnn-memory") == "holds on this machine"


def test_recorded_profiles_are_whole_and_were_recorded_alike():
    profiles = tradeoffs.recorded_profiles()
    assert [profile.name for profile in profiles] == list(MODELS)
    assert len({(p.threads, p.processor) for p in profiles}) == 1
    for profile in profiles:
        assert profile.num_parameters == article.NUM_PARAMETERS[profile.name]
        assert profile.weight_bytes >= 4 * profile.num_parameters
        assert profile.framework == MODELS[profile.name].frameworks[0]
        assert (profile.batch_size, profile.device) == (article.SMALL_BATCH, "cpu")
        for field in (
            "file_bytes", "macs", "train_step_ms", "epoch_seconds",
            "inference_seconds", "latency_ms_p50", "latency_ms_p90",
            "peak_train_memory_mib", "peak_inference_memory_mib",
            "predicted_gpu_memory_mib",
        ):  # fmt: skip
            assert getattr(profile, field) > 0, (profile.name, field)


def test_recorded_memory_is_what_is_predicted():
    found = Evidence()
    for model, points in MEMORY_POINTS.items():
        assert all(found.memory_mib(model, *point) > 0 for point in points)
    points = MEMORY_POINTS["pytorch_cnn"]
    for row in tradeoffs.predict_memory("pytorch_cnn", points).itertuples():
        recorded = found.memory_mib("pytorch_cnn", row.input_shape, row.batch_size)
        assert row.reserved_mib == pytest.approx(recorded, abs=0.001)


def test_recorded_dead_units_are_those_of_the_recorded_weights(mnist):
    found = Evidence()
    images = images_to_tensor(mnist.test_images, tradeoffs.ARTICLE.input_scaling)
    for net in SMALL_NETS:
        dead = [
            tradeoffs.dead_units(tradeoffs.trained(run), images).sum()
            for run in found.runs("small_net", **net)[:SEEDS_KEPT]
        ]
        assert found.dead_units(**net)[:SEEDS_KEPT] == dead
        assert not any(found.dead_units(**net))
        recorded = found.accuracies("small_net", **net)
        after = found.accuracies_after(tradeoffs.ARTICLE.epochs, **net)
        assert after[: len(recorded)] == pytest.approx(recorded, abs=1e-6)
    for net, epochs in itertools.product(SMALL_NETS + NETS_OF_THE_TEXT, DEAD_AFTER):
        seeds = seeds_counted(net, epochs)
        assert len(found.dead_units(epochs, **net)) == seeds
        assert len(found.accuracies_after(epochs, **net)) == seeds


def test_a_convolution_has_as_many_parameters_as_the_last_layer():
    layers = tradeoffs.build("small_net").linear, nn.Conv2d(8, 10, 1)
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == [LAST_LINEAR, LAST_CONVOLUTION]


def test_command_prints_the_claims_for_people_and_for_machines(table, monkeypatch):
    """In any encoding."""
    shown = []
    for options in ([], ["--json"]):
        page = io.TextIOWrapper(io.BytesIO(), "ascii")
        monkeypatch.setattr(sys, "stdout", page)
        assert main(["claims", *options]) == 0
        page.seek(0)
        shown.append(page.read())
    assert shown[0].splitlines()[-1] == verdicts.tally(table)
    rows = json.loads(shown[1])
    assert len(rows) == len(table)
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    assert rows[0].keys() >= {"id", "statement", "article", "ours", "unit", "verdict"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["measure"], "name a model: keras_mlp, keras_cnn"),
        (["measure", "resnet", "--record"], "model is 'resnet'; it must be one of"),
        (["measure", "gap_cnn", "--record", "--json", "x"], "without --json"),
        (["measure", "--record", "--batch-size", "4"], "without --batch-size"),
        (
            ["measure", "gap_cnn", *["--input-dtype", "int64"] * 2],
            "--input-dtype is ('int64', 'int64')",
        ),
        (["measure", "a/input_shape.py:make"], "no file 'a/input_shape.py'"),
        (["measure", "input_shape.py:make"], "no file 'input_shape.py'"),
    ],
)
def test_a_wrong_call_of_measure_says_what_is_allowed(arguments, said, capsys):
    assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_measuring_records_a_profile_where_it_is_read(results):
    (made,) = record_profiles(["small_net"], turns=1, parts="size", threads=1)
    assert measurements.recorded_profile("small_net") == made
    assert made.num_parameters == 518
    assert records.results_folder() == results
