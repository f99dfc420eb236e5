"""Bounds of a drop: they have the theoretical values, and hold where Student's t alone does not."""

import math

import numpy as np
import pytest
from scipy import stats

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import flip_drop_bound, resampled_drop_bound, samples_for, score_drop_bound

RUNS = 2000
# The share of wrong bounds may exceed .05 by the sampling error of so many runs.
MAX_WRONG = 0.05 + 4 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize("n", [1, 20, 200, 1000, 5000])
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.05 / 6])
def test_no_flips_have_the_bound_of_n_samples(n, alpha):
    bound = flip_drop_bound(0, 0, n, alpha=alpha)
    assert bound.upper == pytest.approx(1 - alpha ** (1 / n), rel=1e-4)
    assert (bound.mean_drop, bound.n, bound.method, bound.confidence) == (0, n, "flips", 1 - alpha)


def test_losses_alone_have_a_binomial_bound():
    for losses in (1, 4, 20):
        exact = stats.beta.ppf(0.95, losses + 1, 300 - losses)
        assert flip_drop_bound(losses, 0, 300).upper == pytest.approx(exact, rel=0.002)


def test_with_many_flips_the_bound_is_close_to_the_normal_one():
    normal = 0.02 + 1.645 * math.sqrt((0.1 - 0.02**2) / 5000)
    assert normal < flip_drop_bound(300, 200, 5000).upper < normal + 1.5 / 5000


def test_bound_rises_with_losses_and_falls_with_gains():
    upper = np.array([[flip_drop_bound(losses, gains, 60).upper for gains in range(6)] for losses in range(6)])
    assert (np.diff(upper, axis=0) > 0).all()
    assert (np.diff(upper, axis=1) < 0).all()


def test_clear_gains_prove_that_nothing_is_lost():
    assert -0.4 < flip_drop_bound(2, 40, 100).upper < 0


def test_extreme_counts_have_a_bound():
    assert flip_drop_bound(30, 0, 30).upper == 1
    assert -1 < flip_drop_bound(0, 30, 30).upper < -0.8


@pytest.mark.parametrize(("lose", "gain"), [(0.02, 0.0), (0.06, 0.04), (0.1, 0.08), (0.021, 0.001), (0.42, 0.4)])
@pytest.mark.parametrize("n", [20, 40])
def test_flip_bound_misses_the_drop_in_at_most_5_percent_of_samples(n, lose, gain):
    # Exactly, over every outcome; the drop of 2 % passed for at most 1 % in 68, 36 and 13 % of samples.
    chance = 0.0
    for losses in range(n + 1):
        for gains in range(n - losses + 1):
            weight = stats.multinomial.pmf([losses, gains, n - losses - gains], n, [lose, gain, 1 - lose - gain])
            if weight > 1e-6 and flip_drop_bound(losses, gains, n).upper < lose - gain - 1e-9:
                chance += weight
    assert chance <= 0.0501


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_invalid_flip_counts_are_refused(counts):
    with pytest.raises(MeasurementError, match="cannot be counted"):
        flip_drop_bound(*counts)


def test_scores_without_a_drop_have_the_bound_of_n_samples():
    bound = score_drop_bound([0.5, 0.9] * 100, [0.5, 0.9] * 100, largest_losses=[0.5, 0.9] * 100)
    assert bound.upper == pytest.approx(0.9 * -math.log(0.05) / 200)
    assert bound.upper > 0.9 * (1 - 0.05 ** (1 / 200))
    assert (bound.mean_drop, bound.n, bound.method) == (0, 200, "t")


def test_complete_losses_have_a_poisson_bound():
    baseline = np.ones(1000)
    for losses in (1, 3, 10):
        candidate = np.where(np.arange(1000) < losses, 0.0, 1.0)
        exact = stats.chi2.ppf(0.95, 2 * (losses + 1)) / 2 / 1000
        assert score_drop_bound(baseline, candidate, largest_losses=1.0).upper == pytest.approx(exact, rel=0.01)


def students_t(drops):
    return drops.mean() + stats.t.ppf(0.95, len(drops) - 1) * drops.std(ddof=1) / math.sqrt(len(drops))


def test_bound_of_small_drops_is_close_to_students_t():
    drops = np.random.default_rng(3).normal(0.01, 0.05, 2000)
    upper = score_drop_bound(np.ones(2000), 1 - drops, largest_losses=1.0).upper
    assert students_t(drops) + 1.5 / 2000 < upper < students_t(drops) + 2 / 2000


def test_bound_is_students_t_if_gains_vary_more_than_the_largest_loss():
    drops = np.array([0.01, -0.9, -0.2, -0.5])
    assert score_drop_bound(drops, np.zeros(4), largest_losses=0.01).upper == min(students_t(drops), 0.01)
    drops = drops - 0.6
    assert score_drop_bound(drops, np.zeros(4), largest_losses=0.01).upper == pytest.approx(students_t(drops))


def test_bound_of_scores_that_cannot_fall_may_be_zero_or_below():
    assert score_drop_bound([0.0, 0.0], [0.0, 0.0], largest_losses=0.0).upper == 0
    assert score_drop_bound([0.0] * 50, [0.1, 0.2] * 25, largest_losses=0.0).upper < -0.13


def test_bound_never_exceeds_the_largest_loss():
    assert score_drop_bound([1.0, 1.0], [1.0, 1.0], largest_losses=1.0).upper == 1


def test_observed_loss_above_the_given_largest_replaces_it():
    baseline, candidate = np.ones(100), np.ones(100)
    candidate[0] = -4
    assert score_drop_bound(baseline, candidate, largest_losses=1.0) == score_drop_bound(
        baseline, candidate, largest_losses=5.0
    )


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("n", [100, 300, 1000])
def test_score_bound_holds_if_1_percent_of_samples_lose_all(n, noise):
    generator = np.random.default_rng(n)
    below = 0
    for _ in range(RUNS):
        drops = np.where(generator.random(n) < 0.01, 1.0, generator.normal(0, noise, n))
        below += score_drop_bound(np.ones(n), 1 - drops, largest_losses=1.0).upper < 0.01
    assert below / RUNS <= MAX_WRONG


@pytest.mark.parametrize(
    ("scores", "losses"),
    [
        (([1.0], [1.0]), 1.0),
        (([1.0, 2.0], [1.0]), 1.0),
        (([1.0, math.nan], [1.0, 1.0]), 1.0),
        (([1.0, 1.0], [1.0, 1.0]), [1.0]),
        (([1.0, 1.0], [1.0, 1.0]), [1.0, -0.1]),
        (([1.0, 1.0], [1.0, 1.0]), math.inf),
        (([1.0, 1.0], [1.0, 1.0]), math.nan),
    ],
)
def test_invalid_scores_and_losses_are_refused(scores, losses):
    with pytest.raises(MeasurementError):
        score_drop_bound(*scores, largest_losses=losses)


def test_resampled_mean_has_nearly_the_bound_of_its_scores():
    generator = np.random.default_rng(8)
    drops = generator.normal(0.01, 0.2, 400)
    resampled = resampled_drop_bound(400, lambda rows: float(drops[rows].mean()), largest_loss=0.2, seed=1, rounds=4000)
    direct = score_drop_bound(drops, np.zeros(400), largest_losses=0.2)
    assert resampled.mean_drop == pytest.approx(drops.mean())
    assert resampled.upper - resampled.mean_drop == pytest.approx(direct.upper - direct.mean_drop, rel=0.1)
    assert (resampled.n, resampled.method) == (400, "bootstrap")


def test_pooled_statistic_without_a_drop_has_the_bound_of_n_samples():
    bound = resampled_drop_bound(150, lambda rows: 0.0, largest_loss=2.0, seed=0, alpha=0.025)
    assert bound.upper == pytest.approx(2 * -math.log(0.025) / 150)


def test_seed_determines_the_resamples():
    def bound(seed):
        values = np.arange(50) / 50
        return resampled_drop_bound(
            50, lambda rows: float(values[rows].mean()), largest_loss=1.0, seed=seed, rounds=100
        )

    assert bound(4) == bound(4)
    assert bound(4) != bound(5)


def test_statistic_undefined_in_most_resamples_is_refused():
    def drop_of(rows):
        return 0.0 if (rows == 0).any() else math.nan

    with pytest.raises(MeasurementError, match=r"undefined for 3\d\d of 1000 resamples of 60 samples"):
        resampled_drop_bound(60, drop_of, largest_loss=1.0, seed=0)


def test_statistic_undefined_in_few_resamples_is_bounded_by_the_others():
    def drop_of(rows):
        return 0.0 if (rows < 5).any() else math.nan

    assert resampled_drop_bound(60, drop_of, largest_loss=1.0, seed=0).upper == pytest.approx(-math.log(0.05) / 60)


@pytest.mark.parametrize(
    ("tolerance", "largest_loss"), [(0.005, 1.0), (0.01, 1.0), (0.013, 0.7), (0.02, 4.0), (0.3, 1)]
)
@pytest.mark.parametrize("alpha", [0.05, 0.025])
def test_number_of_samples_is_the_least_within_the_tolerance(tolerance, largest_loss, alpha):
    def by_scores(n):
        return score_drop_bound(np.ones(n), np.ones(n), largest_losses=largest_loss, alpha=alpha).upper

    def by_resamples(n):
        return resampled_drop_bound(
            n, lambda rows: 0.0, largest_loss=largest_loss, alpha=alpha, seed=0, rounds=100
        ).upper

    for method, bound in (("t", by_scores), ("bootstrap", by_resamples)):
        n = samples_for(tolerance, largest_loss=largest_loss, alpha=alpha, method=method)
        assert bound(n) <= tolerance < bound(n - 1)


@pytest.mark.parametrize("tolerance", [0.002, 0.005, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("alpha", [0.05, 0.025])
def test_number_of_samples_for_flips_is_the_least_within_the_tolerance(tolerance, alpha):
    n = samples_for(tolerance, alpha=alpha, method="flips")
    assert flip_drop_bound(0, 0, n, alpha=alpha).upper <= tolerance < flip_drop_bound(0, 0, n - 1, alpha=alpha).upper


def test_proof_of_half_a_percent_needs_600_samples():
    assert samples_for(0.005) == 600
    assert samples_for(0.005, method="flips") == 598


def test_tolerance_of_the_largest_loss_needs_no_proof():
    assert samples_for(1.0, method="flips") == 1
    assert samples_for(0.5, largest_loss=0.4) == 2
    assert samples_for(0.01, largest_loss=0.0) == 2


@pytest.mark.parametrize("arguments", [{"tolerance": 0.0}, {"tolerance": math.nan}, {"tolerance": 0.1, "alpha": 0.6}])
def test_tolerance_that_no_number_of_samples_proves_is_refused(arguments):
    with pytest.raises(MeasurementError):
        samples_for(**arguments)


@pytest.mark.parametrize("alpha", [0, -0.1, 0.51, math.nan])
def test_every_bound_refuses_an_alpha_outside_0_to_1(alpha):
    for bound in (
        lambda: flip_drop_bound(0, 0, 10, alpha=alpha),
        lambda: score_drop_bound([1.0] * 3, [1.0] * 3, largest_losses=1.0, alpha=alpha),
        lambda: resampled_drop_bound(10, lambda rows: 0.0, largest_loss=1.0, seed=0, alpha=alpha),
    ):
        with pytest.raises(MeasurementError, match="alpha"):
            bound()
