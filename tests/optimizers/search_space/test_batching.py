from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimizers.search_space.batching import batch_sizes


@given(st.integers(1, 512), st.integers(1, 512))
def test_author_limit_is_never_exceeded(connections: int, largest: int) -> None:
    sizes = batch_sizes(connections, largest)
    assert sizes == sorted(set(sizes))
    assert 1 <= sizes[0] <= sizes[-1] <= min(largest, 2 * connections)


@pytest.mark.parametrize(
    ("connections", "largest", "sizes"),
    [(32, 256, [4, 8, 16, 32, 64]), (32, 8, [4, 8]), (32, 6, [4, 6]), (32, 3, [3]), (32, 1, [1]), (1, 100, [2])],
)
def test_batch_sizes_are_powers_of_two_and_the_limit_itself(connections: int, largest: int, sizes: list[int]) -> None:
    assert batch_sizes(connections, largest) == sizes
