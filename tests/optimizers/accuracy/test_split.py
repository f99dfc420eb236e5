"""The two halves of the data: their rows, and that only the seed determines them."""

import numpy as np
import pytest

from optimizers.accuracy.split import split_rows
from optimizers.errors import StudyInputError


@pytest.mark.parametrize("n", [2, 3, 100, 101])
def test_each_row_is_in_one_half_and_odd_row_in_the_proof(n):
    choosing, proving = split_rows(np.arange(n) / 7, seed=1)
    assert sorted([*choosing.tolist(), *proving.tolist()]) == list(range(n))
    assert (len(choosing), len(proving)) == (n // 2, n - n // 2)
    assert choosing.dtype == proving.dtype == np.int64


@pytest.mark.parametrize("kind", [np.int64, np.float64, np.str_])
def test_classes_are_divided_evenly(kind):
    labels = np.repeat([0, 1, 2, 3], [601, 50, 2, 1])
    labels = np.random.default_rng(0).permutation(labels)
    for seed in range(20):
        choosing, _ = split_rows(labels.astype(kind), seed=seed)
        counts = np.bincount(labels[choosing], minlength=4)
        assert counts[0] in (300, 301)
        assert counts[1] in (24, 25, 26)
        assert counts[2] in (0, 1, 2)
        assert abs(counts[2] + counts[3] - 1.5) <= 1
    assert {int((labels[split_rows(labels.astype(kind), seed=seed)[0]] == 3).sum()) for seed in range(20)} == {0, 1}


def test_class_with_an_even_number_of_rows_is_halved():
    labels = np.array(["cat"] * 20 + ["dog"] * 2 + ["bird"] * 4)
    for seed in range(10):
        choosing, proving = split_rows(labels, seed=seed)
        assert sorted(labels[choosing]) == sorted(labels[proving])


@pytest.mark.parametrize("labels", [np.array([True, False] * 10), np.array([[1, 0], [0, 1], [0, 0], [1, 1]] * 4)])
def test_booleans_and_rows_of_labels_are_stratified(labels):
    choosing, proving = split_rows(labels, seed=3)
    assert sorted(labels[choosing].tolist()) == sorted(labels[proving].tolist())


def test_regression_targets_are_split_at_random():
    labels = np.sort(np.random.default_rng(0).normal(size=1000))
    choosing, _ = split_rows(labels, seed=0)
    neighbors_apart = np.isin(np.arange(0, 1000, 2), choosing) != np.isin(np.arange(1, 1000, 2), choosing)
    assert 0.4 < neighbors_apart.mean() < 0.6


def test_seed_determines_the_split():
    labels = np.arange(100) % 3
    for one, other in zip(split_rows(labels, seed=5), split_rows(labels, seed=5), strict=True):
        assert (one == other).all()
    assert split_rows(labels, seed=5)[0].tolist() != split_rows(labels, seed=6)[0].tolist()


@pytest.mark.parametrize("labels", [np.array([1]), np.array([]), np.array(3)])
def test_fewer_than_two_rows_are_refused(labels):
    with pytest.raises(StudyInputError, match="cannot be split"):
        split_rows(labels, seed=0)
