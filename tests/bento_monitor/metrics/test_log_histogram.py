from __future__ import annotations

import numpy as np

from bento_monitor.metrics.log_histogram import SCALE, LogHistogram
from bento_monitor.metrics.series_cap import OVERFLOW, CappedSeries


def test_quantile_is_accurate_to_about_1_percent() -> None:
    values = np.random.default_rng(1).lognormal(-6, 1.5, 200_000)
    histogram = LogHistogram()
    for part in np.array_split(values, 50):
        histogram.add(part)
    offset, counts = histogram.dense()
    assert (sum(counts), histogram.count, histogram.zeros) == (200_000, 200_000, 0)
    assert np.isclose(histogram.total, values.sum())
    assert (histogram.smallest, histogram.largest) == (values.min(), values.max())
    reached = np.cumsum(counts)
    for share in (0.5, 0.9, 0.99, 0.999):
        index = offset + int(np.searchsorted(reached, share * len(values)))
        middle = 2 ** ((index + 0.5) / 2**SCALE)
        assert abs(middle / np.quantile(values, share) - 1) < 0.012


def test_bounds_are_those_of_otlp_and_zeros_are_counted_separately() -> None:
    histogram = LogHistogram()
    histogram.add(np.array([0.0, 1.0, np.nextafter(1.0, 2), 2.0]))
    # (b**i, b**(i+1)]: one is the upper bound of bucket -1, and two that of 31.
    assert histogram.counts == {-1: 1, 0: 1, 31: 1}
    assert histogram.zeros == 1


def test_a_million_distinct_labels_give_a_bounded_number_of_series() -> None:
    made: list[tuple[str, ...]] = []

    def make(labels: tuple[str, ...]) -> tuple[str, ...]:
        made.append(labels)
        return labels

    series = CappedSeries(make, limit=100)
    found = {series.of((f"/{index}", "200")) for index in range(1_000_000)}
    assert len(made) == len(found) == 101
    assert series.of(("/5", "200")) == ("/5", "200")
    assert series.of(("/999999", "200")) == (OVERFLOW, OVERFLOW)
