"""The number of rows of a call, for arguments of any type."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from scipy import sparse

from bento_monitor.backends.row_count import row_count


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 2)),
        torch.zeros(3, 2),
        pd.DataFrame({"a": [1, 2, 3]}),
        sparse.csr_matrix(np.eye(3)),
        xgboost.DMatrix(np.zeros((3, 2))),
        ["a", "b", "c"],
        ([1], [2], [3]),
    ],
    ids=["numpy", "torch", "data frame", "sparse", "DMatrix", "list", "tuple"],
)
def test_rows_are_counted_in_any_container(value: Any) -> None:
    assert row_count((value,), {}) == 3
    assert row_count((), {"X": value, "flag": True}) == 3


@pytest.mark.parametrize("value", ["text", 5, None, np.array(3), {"a": 1}])
def test_argument_without_rows_counts_as_one_row(value: Any) -> None:
    assert row_count((value,), {}) == 1


def test_array_is_counted_before_a_list() -> None:
    assert row_count((["cls", "mean"], np.zeros((4, 2))), {}) == 4
