"""The claims of the article, their evidence, and how a verdict comes about."""

import csv
import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
from importlib.resources import files

import pandas as pd
import pytest

import tradeoffs
from tradeoffs import article, measurements, records, verdicts
from tradeoffs.claim import (
    BASES,
    VERDICTS,
    Claim,
    Finding,
    difference,
    mean,
)
from tradeoffs.evidence import Evidence
from tradeoffs.findings import FINDINGS
from tradeoffs.measurements import (
    MEMORY_POINTS,
    RECTIFIERS,
    EvidenceError,
    count_dead_units,
)
from tradeoffs.models import MODELS


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """The recorded results, to spoil."""
    folder = tmp_path / "results"
    shutil.copytree(records.results_folder(), folder)
    monkeypatch.setenv("TRADEOFFS_RESULTS", str(folder))
    return folder


def run(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120
    )


def test_claims_are_a_table_with_a_row_a_claim():
    table = tradeoffs.claims()
    assert list(table.index) == [claim.id for claim in verdicts.listed()]
    assert table.index.is_unique
    assert not table.isna().any(axis=None)
    assert set(table.basis) <= set(BASES)
    counted = re.findall(r"(\d+) (?:hold|do |does|cannot)", verdicts.tally(table))
    assert sum(map(int, counted)) == len(table)
    assert verdicts.tally(table).startswith(f"Of {len(table)} claims, ")
    assert table.quote.str.split().str.len().between(2, 7).all()
    assert (verdicts.written(table).here.str.len() > 0).all()


def test_tally_keeps_counts_apart():
    bases = ["a count", "a count", "recorded runs", "recorded runs"]
    found = ["holds", "does not hold", "holds", "holds"]
    said = (
        "2 are counts or arithmetic: 1 holds, 1 does not hold. Of the other 2, 2 hold"
    )
    table = pd.DataFrame({"basis": bases, "verdict": found})
    assert verdicts.tally(table) == f"Of 4 claims, {said}."


def test_claims_cover_numbers_and_words_of_every_section():
    table = tradeoffs.claims()
    assert len(table) >= 40
    assert table.section.nunique() == 5
    assert {c.test for c in verdicts.listed()} >= {"within", "rounds", "above"}
    for model, parameters in article.NUM_PARAMETERS.items():
        row = table.loc[f"{model.replace('_', '-')}-parameters"]
        assert row.article == row.ours == parameters
        assert row.verdict == "holds"


def test_no_verdict_is_written_down():
    text = (files("tradeoffs") / "claims.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        assert set(row) == {field.name for field in dataclasses.fields(Claim)}
        assert not set(row.values()) & set(VERDICTS)


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


@pytest.mark.parametrize(
    ("test", "tolerance", "passes", "fails"),
    [
        ("within", 0, [50], [50.1, 49]),
        ("within", 2, [48, 52], [47.9, 52.1]),
        ("within a factor", 2, [25, 100], [24.9, 101]),
        ("rounds", 1, [45.1, 54.9], [44.9, 55.1]),
        ("rounds", 2, [49.6, 50.4], [49.4, 50.6]),
        ("above", 0, [50.1], [50, 49]),
        ("below", 0, [49.9], [50, 51]),
        ("at least", 0, [50, 51], [49.9]),
        ("at least", 1, [49], [48.9]),
        ("at most", 1, [51, 0], [51.1]),
    ],
)
def test_a_test_passes_and_fails_where_it_should(test, tolerance, passes, fails):
    made = claim(test=test, tolerance=tolerance)
    assert all(made.agrees(Finding(value)) for value in passes)
    assert not any(made.agrees(Finding(value)) for value in fails)


def test_margins_count_where_seeds_differ():
    near = Finding(51, "recorded runs", margin=2)
    assert claim(test="another run").agrees(near)
    assert not claim(test="another run").agrees(dataclasses.replace(near, value=52.1))
    assert not claim(test="above").agrees(near)
    assert claim(test="above").agrees(dataclasses.replace(near, margin=0.5))


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


def test_a_claim_or_figure_that_is_not_whole_is_refused():
    with pytest.raises(ValueError, match="it must be one of within"):
        claim(test="roughly")
    with pytest.raises(ValueError, match="and a reason"):
        claim(reason=" ")
    with pytest.raises(ValueError, match="must be finite"):
        Finding(math.nan)
    with pytest.raises(ValueError, match="basis is 'hearsay'"):
        Finding(1, "hearsay")


@pytest.mark.parametrize(
    ("test", "bound"),
    [
        ("within", "50.0 %"),
        ("above", "> 50.0 %"),
        ("below", "< 50.0 %"),
        ("at least", "≥ 49.5 %"),
        ("at most", "≤ 50.5 %"),
    ],
)
def test_bounds_and_margins_are_written(test, bound):
    asked = claim(test=test, article=50, tolerance=0.5, decimals=1, unit="%")
    assert asked.write_bound() == bound
    assert asked.write(51.04) == "51.0 %"
    assert asked.write(51.04, 1.26) == "51.0 (49.8 to 52.3) %"


def test_margins_are_the_known_formulas():
    from scipy import stats

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
        ("article/gap_cnn-pytorch-seed3.json", "", "reproduce"),
        ("article/keras_cnn-keras-seed2.json", "", "reproduce"),
        (
            "article/small_net,kernel_size=5-pytorch-seed4.json",
            "small-net-parameters-as-described",
            "reproduce",
        ),
        ("profiles/keras_mlp.json", "", "measure --record"),
        ("gpu_memory.json", "convolutions-are-memory-hungry", "measure --record"),
        ("dead_units.json", "small-nets-have-dead-neurons", "measure --record"),
        ("small_net_search.csv", "leaky-relu-helps", "search"),
    ],
)
def test_a_claim_that_loses_its_evidence_is_an_error(copy, file, claim_id, makes):
    (copy / file).unlink()
    with pytest.raises(EvidenceError, match="no evidence for the claim") as caught:
        tradeoffs.claims()
    said = str(caught.value)
    assert str(copy / file) in said
    assert claim_id in said
    assert f"python -m tradeoffs {makes}" in said


def test_damaged_evidence_is_an_error_that_names_the_file(copy):
    (copy / "gpu_memory.json").write_text('{"format": 1, "rows": []}')
    with pytest.raises(EvidenceError, match="has nothing for"):
        tradeoffs.claims()
    (copy / "gpu_memory.json").write_text('{"format": 1')
    with pytest.raises(EvidenceError, match=r"gpu_memory\.json is not whole"):
        tradeoffs.claims()
    path = measurements.profile_path("small_net")
    path.write_text(measurements.profile_path("gap_cnn").read_text())
    with pytest.raises(EvidenceError, match="is the profile of gap_cnn"):
        tradeoffs.recorded_profiles()


def test_times_decide_on_this_machine(copy):
    profile = measurements.recorded_profile("keras_cnn")
    small = measurements.recorded_profile("pytorch_cnn")
    for ratio, verdict in ((6, "holds on this machine"), (20, "does not hold")):
        epoch_seconds = ratio * small.epoch_seconds
        dataclasses.replace(profile, epoch_seconds=epoch_seconds).save(
            measurements.profile_path("keras_cnn")
        )
        assert tradeoffs.claims().verdict["epoch-ratio"] == verdict


def test_gpu_memory_is_checked_once_a_gpu_measured_it(copy):
    assert tradeoffs.claims().verdict["keras-cnn-memory"] == "cannot be checked here"
    path = measurements.profile_path("keras_cnn")
    profile = measurements.recorded_profile("keras_cnn")
    dataclasses.replace(profile, accelerator_process_mib=900.0).save(path)
    assert tradeoffs.claims().verdict["keras-cnn-memory"] == "holds on this machine"


@pytest.mark.parametrize("model", MODELS)
def test_recorded_profile_is_whole(model):
    profile = measurements.recorded_profile(model)
    assert profile.num_parameters == article.NUM_PARAMETERS[model]
    assert profile.weight_bytes >= 4 * profile.num_parameters
    assert profile.framework == MODELS[model].frameworks[0]
    assert (profile.batch_size, profile.device) == (article.SMALL_BATCH, "cpu")
    for field in (
        "file_bytes", "macs", "train_step_ms", "epoch_seconds", "inference_seconds",
        "latency_ms_p50", "latency_ms_p90", "peak_train_memory_mib",
        "peak_inference_memory_mib", "predicted_gpu_memory_mib",
    ):  # fmt: skip
        assert getattr(profile, field) > 0, field


def test_profiles_were_recorded_alike():
    profiles = tradeoffs.recorded_profiles()
    assert [profile.name for profile in profiles] == list(MODELS)
    assert len({(p.threads, p.processor) for p in profiles}) == 1


def test_recorded_memory_is_what_is_predicted():
    found = Evidence()
    for model, points in MEMORY_POINTS.items():
        assert all(found.memory_mib(model, *point) > 0 for point in points)
    points = MEMORY_POINTS["pytorch_cnn"]
    for row in tradeoffs.predict_memory("pytorch_cnn", points).itertuples():
        recorded = found.memory_mib("pytorch_cnn", row.input_shape, row.batch_size)
        assert row.reserved_mib == pytest.approx(recorded, abs=0.001)


def test_recorded_dead_units_are_those_of_the_recorded_weights():
    found = Evidence()
    for row in count_dead_units():
        assert found.dead_units(**row["model_arguments"]) == row["dead"]
        assert found.units() == row["units"]
    assert {} in RECTIFIERS


def test_claims_take_no_framework():
    code = (
        "import sys, tradeoffs; tradeoffs.decision_panel; tradeoffs.claims();"
        "loaded = {'torch', 'tensorflow', 'keras', 'optuna'} & set(sys.modules);"
        "sys.exit(' '.join(loaded) or 0)"
    )
    done = run("-c", code)
    assert done.returncode == 0, done.stderr


def test_command_prints_the_claims_for_people_and_for_machines():
    shown = run("-m", "tradeoffs", "claims")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip().splitlines()[-1] == verdicts.tally(tradeoffs.claims())
    done = run("-m", "tradeoffs", "claims", "--json")
    rows = json.loads(done.stdout)
    assert len(rows) == len(tradeoffs.claims())
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    assert rows[0].keys() >= {"id", "statement", "article", "ours", "unit", "verdict"}


def test_command_says_in_one_line_what_is_missing(copy):
    (copy / "profiles" / "keras_cnn.json").unlink()
    done = run("-m", "tradeoffs", "claims")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert "keras_cnn.json is missing" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["measure"], "name a model: keras_mlp, keras_cnn"),
        (["measure", "resnet", "--record"], "no model 'resnet'; the models are"),
        (["measure", "gap_cnn", "--record", "--json", "x"], "without --json"),
        (["measure", "--record", "--batch-size", "4"], "without --batch-size"),
    ],
)
def test_a_wrong_call_of_measure_says_what_is_allowed(arguments, said):
    done = run("-m", "tradeoffs", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_measuring_records_a_profile_where_it_is_read(tmp_path, monkeypatch):
    from tradeoffs.measurements import record_profiles

    monkeypatch.setenv("TRADEOFFS_RESULTS", str(tmp_path))
    (made,) = record_profiles(["small_net"], parts="size", threads=1)
    assert measurements.recorded_profile("small_net") == made
    assert made.num_parameters == 518
    assert records.results_folder() == tmp_path
