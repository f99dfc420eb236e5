"""The parts of `bench_accuracy`: scores equal to scikit-learn's and jiwer's, and stated true drops."""

from dataclasses import replace
from pathlib import Path

import jiwer
import numpy as np
import pytest
from accuracy.cells import Cell, all_cells, auc_with_drop, noisy_alarms, noisy_auc
from accuracy.draws import F1, SHAPES, Alarms, Flips, Scores, WordErrors
from accuracy.pooled import AlarmRecall, AucDrop, F1Drop, WordErrorDrop
from bench_accuracy import accepts_one, count_flips, run_cell
from sklearn.metrics import f1_score, roc_auc_score

ROOT = Path(__file__).parents[3]


@pytest.fixture(name="generator")
def generator_fixture():
    return np.random.default_rng(21)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_auc_of_resamples_equals_scikit_learn_with_and_without_ties(generator, decimals):
    labels = generator.integers(0, 2, 300)
    baseline, candidate = np.round(generator.normal(labels, 1, (2, 300)), decimals)
    drop = AucDrop(labels, baseline, candidate)
    for _ in range(5):
        rows = generator.integers(0, 300, 300)
        expected = roc_auc_score(labels[rows], baseline[rows]) - roc_auc_score(labels[rows], candidate[rows])
        assert drop(rows) == pytest.approx(expected)


def test_f1_of_resamples_equals_scikit_learn(generator):
    labels, baseline, candidate = generator.integers(0, 2, (3, 200))
    drop = F1Drop(labels, baseline, candidate)
    for _ in range(5):
        rows = generator.integers(0, 200, 200)
        expected = f1_score(labels[rows], baseline[rows]) - f1_score(labels[rows], candidate[rows])
        assert drop(rows) == pytest.approx(expected)


def test_f1_without_positives_is_0_as_in_scikit_learn():
    nothing = np.zeros(5, dtype=np.int64)
    assert f1_score(nothing, nothing, zero_division=0) == 0
    assert F1Drop(nothing, nothing, nothing)(np.arange(5)) == 0


def test_word_error_rate_of_a_resample_equals_jiwer(generator):
    words = generator.integers(1, 9, 60)
    wrong = generator.binomial(words, 0.2), generator.binomial(words, 0.4)
    references = [" ".join(["right"] * count) for count in words]
    texts = [
        [" ".join(["wrong"] * bad + ["right"] * (count - bad)) for bad, count in zip(errors, words, strict=True)]
        for errors in wrong
    ]
    drop = WordErrorDrop(words, *wrong)
    rows = generator.integers(0, 60, 60)
    rates = [jiwer.wer([references[row] for row in rows], [answers[row] for row in rows]) for answers in texts]
    assert drop(rows) == pytest.approx(rates[1] - rates[0])


def test_recall_at_alarms_of_resampled_lives_equals_the_examples_metric(generator, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "machine_failure"))
    from alarms import alarms

    lives, windows, day_s = 60, 12, 86_400.0
    healthy, best = generator.normal(0, 1, (lives, windows)), generator.normal(2, 1, lives)
    at_s = np.append(np.linspace(0, 0.4, windows), 0.6) * day_s
    for _ in range(5):
        chosen = np.sort(generator.integers(0, lives, lives))
        answers = np.column_stack([healthy[chosen], best[chosen]]).ravel()
        onset_s, failed_s = np.full(len(answers), 0.5 * day_s), np.full(len(answers), day_s)
        labels = np.column_stack([np.tile(at_s, lives), onset_s, failed_s])
        found = alarms(answers, labels, np.repeat(np.arange(lives), windows + 1), per_day=2.0)
        counts = np.bincount(chosen, minlength=lives)
        assert AlarmRecall(healthy, best, 1.0).of(counts) == pytest.approx(found.found.mean())


@pytest.mark.parametrize(
    ("population", "true_drop"),
    [
        (Flips(0.06, 0.04), 0.02),
        *((Scores(shape, 0.05, 0.02), 0.05) for shape in SHAPES),
        (auc_with_drop(0.1, 0.05, 0.2), 0.05),
        (noisy_auc(0.5, 0.05), 0.05),
        (F1(0.1, 0.05), 0.05),
        (F1(0.5, 0.05, 0.5), 0.05),
        (WordErrors(lost=0.05), 0.045),
        (Alarms(lost=0.1), 0.1 * Alarms(1.0).drop),
        (noisy_alarms(0.05), 0.05),
        (WordErrors(spoiled=0.1, mended=0.3), 0.06),
    ],
    ids=str,
)
def test_population_has_its_stated_true_drop(population, true_drop):
    n = 400_000
    draw = population.draw(n, 1, np.random.default_rng(5))
    assert draw.drop(0, np.arange(n)) == pytest.approx(true_drop, abs=0.004)


def test_counted_flips_are_accepted_as_often_as_drawn_flips():
    cell = Cell("bound", "flips", Flips(0.05, 0.02), 150, 0.05, 3000)
    generator = np.random.default_rng(1)
    drawn = sum(accepts_one(cell, generator) for _ in range(cell.runs)) / cell.runs
    counted = count_flips(cell, cell.runs, generator) / cell.runs
    assert drawn > 0
    assert counted == pytest.approx(drawn, abs=0.02)


def test_procedure_cells_accept_a_candidate_without_a_drop_more_often():
    shares = {}
    for kind in ("procedure", "procedure_power"):
        cells = [cell for cell in all_cells() if cell.kind == kind and isinstance(cell.population, Scores)]
        shares[kind] = run_cell(replace(cells[0], runs=40), 40, seed=3) / 40
    assert shares["procedure"] < 0.5 < shares["procedure_power"]
