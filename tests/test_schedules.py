import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from tradeoffs import ARTICLE, Schedule, altered
from tradeoffs.schedule_values import Augmentation


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rate": 0}, "above 0"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"batch_size": -16}, "batch_size is -16"),
        ({"milestones": (15, 10)}, "must increase"),
        ({"milestones": (20,)}, "never takes effect"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": 0.0}, "nesterov=True needs"),
        ({"optimizer": "sdg"}, "one of sgd, rmsprop, adadelta, adam"),
        ({"optimizer": "adam"}, "takes none"),
        ({"input_scaling": "none"}, "one of standardized, unit"),
        ({"lr": 0.1}, "'lr'; it must be one of epochs"),
        ({"weight_decay": 0.01}, "weight_decay is 0.01, but optimizer 'sgd' takes"),
        ({"weight_decay": -1}, "weight_decay is -1.0; it must be 0 or more"),
        ({"cycle": True}, r"\(10, 15\), but a cycle has none"),
        ({"label_smoothing": -0.1}, "it must be at least 0, and below 1"),
        ({"augmentation": {"twist": 2}}, "augmentation is 'twist'; it must be one of"),
        ({"augmentation": {"rotation": 200}}, "rotation is 200; it must be from 0 to"),
    ],
)
def test_value_out_of_range_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        ARTICLE.replace(**change)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", True),
        ("learning_rate", "0.1"),
        ("milestones", 10),
        ("nesterov", 1),
        ("cycle", 1),
        ("augmentation", 2),
        ("augmentation", {"shift": "2"}),
    ],
)
def test_value_of_another_type_is_a_type_error(name, value):
    with pytest.raises(TypeError):
        ARTICLE.replace(**{name: value})


def test_numpy_numbers_are_numbers():
    changed = ARTICLE.replace(batch_size=np.int64(64), learning_rate=np.float32(0.5))
    assert (changed.batch_size, type(changed.batch_size)) == (64, int)
    assert changed.name == ARTICLE.replace(batch_size=64, learning_rate=0.5).name


def test_first_drops_later_milestones():
    assert [ARTICLE.first(n).milestones for n in (2, 15)] == [(), (10,)]
    assert ARTICLE.first(20) == ARTICLE
    with pytest.raises(ValueError, match="21"):
        ARTICLE.first(21)


def test_compressed_keeps_every_drop_of_the_learning_rate():
    for epochs in range(3, 21):
        short = ARTICLE.compressed(epochs)
        rates = {short.learning_rate_of(e) for e in range(1, epochs + 1)}
        assert (short.epochs, rates) == (epochs, {5e-3, 5e-4, 5e-5})
    with pytest.raises(ValueError, match="at least 3 epochs"):
        ARTICLE.compressed(2)


def test_altered_is_the_articles_but_for_what_is_changed():
    assert altered(20) == ARTICLE
    assert altered(2, learning_rate=0.1) == ARTICLE.first(2).replace(learning_rate=0.1)
    assert altered(1, compressed=True) == ARTICLE.compressed(5)
    assert altered(7, compressed=True) == ARTICLE.compressed(7)
    for optimizer in ("adam", "rmsprop", "adadelta"):
        assert altered(1, optimizer=optimizer).momentum == 0
    assert not altered(1, momentum=0).nesterov
    with pytest.raises(ValueError, match="compressed is 'no'; it must be one of True"):
        altered(1, compressed="no")
    assert altered(30, compressed=True).milestones == (15, 22)
    with pytest.raises(ValueError, match="epochs is 25"):
        altered(25)


def test_names_are_stable_and_distinct():
    assert Schedule(**dataclasses.asdict(ARTICLE)).name == "article"
    one, two = ARTICLE.first(2), ARTICLE.first(3)
    assert one.name != two.name
    assert one.name == "custom-6f62fd9315"  # records lie under such names


LATER = {"cycle": True, "label_smoothing": 0.1}
LATER |= {"augmentation": {"shift": 2, "elastic": 1}}
WITH_LATER = ARTICLE.replace(milestones=(), **LATER)


def test_values_that_came_later_show_only_where_they_are_used():
    assert len(ARTICLE.content()) == 9
    for name, value in LATER.items():
        changed = ARTICLE.replace(milestones=(), **{name: value})
        assert changed.content().keys() - ARTICLE.content().keys() == {name}
    again = Schedule(**json.loads(json.dumps(WITH_LATER.content())))
    assert (again, again.name) == (WITH_LATER, WITH_LATER.name)
    assert again.augmentation == Augmentation(shift=2, elastic=1)
    assert len({WITH_LATER, again}) == 1


def test_cycle_rises_in_a_line_and_falls_in_a_cosine_to_nearly_0():
    schedule = ARTICLE.first(5).replace(cycle=True)
    shares = np.array(list(schedule.shares(20)))
    assert schedule.learning_rate_of(5) == 5e-3
    assert np.allclose(shares[:20], np.arange(1, 21) / 20)
    cosine = (1 + np.cos(np.pi * np.arange(82) / 81)) / 2
    assert np.allclose(shares[19:], cosine[:-1])
    assert 0 < shares[-1] < 0.001
    assert len(shares) == 100
    flat = itertools.islice(ARTICLE.shares(20), 100)
    assert set(flat) == {1.0}


def test_cycle_is_not_cut_short():
    schedule = ARTICLE.first(5).replace(cycle=True)
    assert schedule.compressed(3).epochs == 3
    with pytest.raises(ValueError, match=r"use \.compressed\(3\), or first_epochs=3"):
        schedule.first(3)
