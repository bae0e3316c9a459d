"""What the notebooks and the README say of the records, checked on every machine."""

import numpy as np
import pytest

import tradeoffs
from tradeoffs import article
from tradeoffs.recorded import CHOSEN_SMALL_NET


def mean(*model, **given):
    """Accuracy over the seeds of a series, in per cent."""
    return 100 * tradeoffs.mean_accuracy(tradeoffs.runs(*model, **given))


@pytest.mark.parametrize("model", ["keras_mlp", "keras_cnn", "pytorch_cnn"])
def test_published_models_do_as_the_article_says(model):
    firsts = [run.history.test_accuracy[0] for run in tradeoffs.runs(model)]
    assert min(firsts) > 0.95
    assert mean(model) == pytest.approx(100 * article.ACCURACY[model], abs=0.15)


def test_order_of_the_models_is_the_articles_in_both_frameworks():
    assert mean("keras_mlp") < mean("pytorch_cnn") < mean("keras_cnn")
    names = ("keras_mlp", "pytorch_cnn", "keras_cnn")
    ported = [mean(name, "pytorch") for name in names]
    assert ported == sorted(ported)


def test_slimmed_network_loses_nothing():
    assert mean("gap_cnn") > mean("pytorch_cnn")
    first = tradeoffs.runs("gap_cnn", dropout=True)[:10]
    accuracy = 100 * tradeoffs.mean_accuracy(first)
    assert accuracy == pytest.approx(98.93, abs=0.15)
    verdicts = tradeoffs.claims().verdict
    assert verdicts["gap-cnn-accuracy-with-dropout"] == "holds"


def test_chosen_small_net_beats_both_readings_with_fewer_parameters():
    assert tradeoffs.runs("small_net", **CHOSEN_SMALL_NET)[0].num_parameters == 501
    accuracy = mean("small_net", **CHOSEN_SMALL_NET)
    assert accuracy > 100 * article.ACCURACY["small_net"]
    assert accuracy > mean("small_net", kernel_size=5)
    assert accuracy > mean("small_net")


def test_adadelta_at_todays_default_is_far_too_slow():
    today = mean("keras_cnn", schedule=tradeoffs.KERAS_CNN_RECIPE_TODAY)
    then = mean("keras_cnn", schedule=tradeoffs.KERAS_CNN_RECIPE)
    assert today < 90 < 99 < then


def test_a_rate_that_grows_with_the_batch_helps_until_it_breaks():
    def at(size, scaled):
        schedule = tradeoffs.at_batch_size(size, scaled=scaled)
        return mean("pytorch_cnn", schedule=schedule)

    assert at(256, True) > at(256, False)
    assert at(8192, True) < 20 < at(8192, False)


def test_vote_of_small_nets_keeps_up_with_one_of_large(mnist):
    voters = (
        tradeoffs.runs("keras_cnn") + tradeoffs.runs("keras_cnn", "pytorch"),
        tradeoffs.runs("gap_cnn"),
    )
    large, small = (tradeoffs.ensemble(v, mnist.test_labels) for v in voters)
    assert small.test_accuracy >= large.test_accuracy - 0.0005


def test_replays_end_at_the_best_of_the_grid():
    table = tradeoffs.read_table()
    best = table[table.num_parameters <= 518].validation_accuracy.max()
    for quartiles in tradeoffs.recorded_replays().values():
        assert quartiles.shape == (3, 120)
        assert np.nanmax(quartiles) == pytest.approx(best, abs=1e-4)
        known = quartiles[1][~np.isnan(quartiles[1])]
        assert (np.diff(known) >= 0).all()
    assert tradeoffs.recorded_replays()["tpe"][1][-1] == pytest.approx(best, abs=1e-4)
