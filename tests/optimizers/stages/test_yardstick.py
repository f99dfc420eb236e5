from __future__ import annotations

import numpy as np
import pytest

from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.reading import choose_reading
from optimizers.accuracy.tolerance import Tolerance
from optimizers.stages.yardstick import Yardstick

LABELS = np.arange(200) % 4
ROWS = np.arange(0, 200, 2)


def yardstick() -> Yardstick:
    metric = parse_metric("accuracy")
    reading = choose_reading(LABELS, LABELS, metric)
    return Yardstick(metric, reading, LABELS, None, LABELS, Tolerance(0.01), ())


def test_accepted_flip_share_is_the_larger_of_two_measured_shares() -> None:
    artifact = LABELS.copy()
    artifact[:4] = (artifact[:4] + 1) % 4
    assert yardstick().check_of(artifact, artifact[ROWS], ROWS).accepted_flip_share == 0.02
    alone = artifact[ROWS].copy()
    alone[-7:] = (alone[-7:] + 1) % 4
    assert yardstick().check_of(artifact, alone, ROWS).accepted_flip_share == 0.07
    assert yardstick().check_of(LABELS, LABELS[ROWS], ROWS).accepted_flip_share == 0


@pytest.mark.parametrize("metric_name", ["accuracy", "agreement"])  # with labels, and without
def test_few_samples_show_that_a_model_is_ruined_but_not_that_it_is_a_little_worse(metric_name: str) -> None:
    metric = parse_metric(metric_name)
    reading = choose_reading(LABELS, LABELS, metric)
    labels = LABELS if metric.needs_labels else None
    stick = Yardstick(metric, reading, labels, None, LABELS, Tolerance(0.01), ())
    ruined = (LABELS[ROWS] + (np.arange(100) < 30)) % 4
    result = stick.proved_worse(ruined, ROWS, seed=0)
    assert result is not None
    assert (result.n, round(result.candidate, 2)) == (100, 0.7)
    assert not stick.is_kept(result)
    worse = (LABELS[ROWS] + (np.arange(100) < 3)) % 4
    assert stick.proved_worse(worse, ROWS, seed=0) is None
    assert stick.proved_worse(LABELS[ROWS], ROWS, seed=0) is None


def test_few_samples_of_one_class_show_nothing_of_a_ranking() -> None:
    scores = np.linspace(0.1, 0.9, 200)
    labels = scores > 0.5
    metric = parse_metric("roc_auc")
    reading = choose_reading(scores, labels, metric, "probability")
    stick = Yardstick(metric, reading, labels, None, scores, Tolerance(0.01), ())
    assert stick.proved_worse(1 - scores[:50], np.arange(50), seed=0) is None
    assert stick.proved_worse(1 - scores[ROWS], ROWS, seed=0) is not None


def test_of_two_candidates_the_more_accurate_one_is_known_without_labels_too() -> None:
    metric = parse_metric("agreement")
    stick = Yardstick(metric, choose_reading(LABELS, None, metric), None, None, LABELS, Tolerance(0.01), ())
    bad = (LABELS + (np.arange(200) < 60)) % 4
    assert stick.is_more_accurate(LABELS, bad, np.arange(200), 0)
    assert not stick.is_more_accurate(bad, LABELS, np.arange(200), 0)


def test_answers_in_a_list_are_compared_too() -> None:
    metric = parse_metric("accuracy")
    own = [{"label": int(label)} for label in LABELS]
    reading = choose_reading(own, LABELS, metric)
    stick = Yardstick(metric, reading, LABELS, None, own, Tolerance(0.01), ())
    alone = [own[row] for row in ROWS]
    alone[0] = {"label": 3}
    assert stick.check_of(own, alone, ROWS).accepted_flip_share == 0.01


def test_numbers_that_a_batch_changes_are_counted_too() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(0.0, 0.4, 200)
    metric = parse_metric("roc_auc")
    reading = choose_reading(probabilities, LABELS == 3, metric, "probability")
    stick = Yardstick(metric, reading, LABELS == 3, None, probabilities, Tolerance(0.01), ())
    alone = probabilities[ROWS].copy()
    alone[:3] += 0.3  # no class flips
    assert stick.check_of(probabilities, alone, ROWS).accepted_flip_share == 0.03
