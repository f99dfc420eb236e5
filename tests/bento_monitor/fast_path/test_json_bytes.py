"""JSON as bytes: the same text as from `json.dumps`."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bento_monitor.fast_path.json_bytes import dump_json, dump_numbers

floats = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1e3, 1e3, width=32)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(floats, min_size=16, max_size=40) | st.lists(st.lists(floats, min_size=4, max_size=4), min_size=4))
def test_floats_are_written_like_json_dumps_or_left_to_it(values: list[object]) -> None:
    written = dump_numbers(values)
    assert written is None or written == json.dumps(values).encode()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_100_000_numbers_of_every_size_are_written_alike(dtype: type) -> None:
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], 100_000)
    exponents = generator.uniform(-3.9, 4.5 if dtype is np.float16 else 15.9, 100_000)
    values = (signs * 10**exponents).astype(dtype).tolist()
    assert dump_numbers(values) == json.dumps(values).encode()


@pytest.mark.parametrize("edge", [1e-4, math.nextafter(1e16, 0), 0.0, -0.0, 1.0, 5e-324])
def test_edge_cases_are_written_alike(edge: float) -> None:
    values = [edge, -edge] * 8
    assert dump_numbers(values) in (None, json.dumps(values).encode())
    assert (dump_numbers(values) is None) == (edge == 5e-324)


REPEATED = (1e-5, 1e16, math.nan, math.inf, 1, "1", None, True)
LEFT = ([1.0] * 15, [[1.0], []] * 8, 1.5, *([value] * 16 for value in REPEATED))


@pytest.mark.parametrize("values", LEFT)
def test_values_that_could_differ_are_left_to_json_dumps(values: object) -> None:
    assert dump_numbers(values) is None


@pytest.mark.parametrize("value", [0, -(10**30), True, False, None, 1.5, math.nan, "\u00e9", {"a": [1]}, [2.5] * 20])
def test_any_value_is_written_like_json_dumps(value: object) -> None:
    assert dump_json(value) == json.dumps(value).encode()
