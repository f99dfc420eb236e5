"""The samples to choose on and to prove on are disjoint, and a copied sample counts once."""

import numpy as np
import pytest

from optimizers.accuracy.compare import assess, require_enough
from optimizers.accuracy.copies import split_samples
from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.reading import choose_reading
from optimizers.errors import StudyInputError

BODIES = [f"{i}".encode() for i in range(40)]
LABELS = np.arange(40) % 2


def test_copied_samples_count_once() -> None:
    choosing, proving = split_samples(BODIES * 10, [400], np.tile(LABELS, 10), seed=0)
    assert len(choosing) == len(proving) == 20
    assert sorted([*choosing.tolist(), *proving.tolist()]) == list(range(40))
    answers = np.tile(LABELS, 10)
    metric = parse_metric("accuracy")
    reading = choose_reading(answers, answers, metric)
    worth = assess(answers, answers, metric, reading, rows=proving)
    with pytest.raises(StudyInputError, match=r"40 samples \(360 copies of others not counted\) cannot prove"):
        require_enough(worth.n, metric, 0.05, worth, share=0.5, copies=360)


def test_one_request_with_two_labels_is_two_samples_and_labels_are_optional() -> None:
    choosing, proving = split_samples(BODIES[:1] * 4, [4], np.array([0, 1, 0, 1]), seed=0)
    assert sorted([*choosing, *proving]) == [0, 1]
    choosing, proving = split_samples([*BODIES, *BODIES], [80], None, seed=0)
    assert sorted([*choosing, *proving]) == list(range(40))


def test_samples_in_both_files_are_excluded_from_the_proof() -> None:
    labels = np.concatenate([LABELS, LABELS])
    choosing, proving = split_samples(
        [*BODIES, *BODIES[:10], *(b"new %d" % i for i in range(30))], [40, 40], labels, seed=0
    )
    assert choosing.tolist() == list(range(40))
    assert proving.tolist() == list(range(50, 80))
    with pytest.raises(StudyInputError, match="All 40 samples of --prove-data are in --data too"):
        split_samples([*BODIES, *BODIES], [40, 40], labels, seed=0)


def test_copies_of_one_sample_are_refused() -> None:
    with pytest.raises(StudyInputError, match="All 5 samples are copies of one"):
        split_samples([b"a"] * 5, [5], np.ones(5), seed=0)
