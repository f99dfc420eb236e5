"""The decorator for isolated failures: it marks the API's function, above or below BentoML's decorator."""

from typing import Any

import pytest

from bento_monitor import isolate_failures
from bento_monitor.batching import isolates_failures


class Api:
    """The object that `@bentoml.api` makes of a function."""

    def __init__(self, func: Any, *, batchable: bool) -> None:
        self.func = func
        self.batchable = batchable


def score(xs: list[int]) -> list[int]:
    return xs


def test_function_is_marked_above_and_below_bentomls_decorator() -> None:
    assert not isolates_failures(score)
    below = isolate_failures(lambda xs: xs)
    above = Api(lambda xs: xs, batchable=True)
    assert isolate_failures(above) is above
    assert isolates_failures(below)
    assert isolates_failures(above.func)


def test_api_without_batches_is_refused() -> None:
    with pytest.raises(TypeError, match="batchable=True"):
        isolate_failures(Api(score, batchable=False))
