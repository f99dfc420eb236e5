import pytest

from optimizers.measurement.load import check_every


@pytest.mark.parametrize(
    ("rate_rps", "block_s", "expected"),
    [(2000.0, 5.0, 8), (103.0, 5.0, 8), (40.0, 5.0, 3), (13.0, 5.0, 1), (0.2, 5.0, 1), (13.0, 40.0, 8)],
)
def test_a_block_of_a_slow_service_has_as_many_checked_answers_as_possible(
    rate_rps: float, block_s: float, expected: int
) -> None:
    assert check_every(rate_rps, block_s) == expected
    checked = rate_rps * block_s / expected
    assert checked >= 64 or expected == 1
