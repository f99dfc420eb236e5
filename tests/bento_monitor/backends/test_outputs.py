from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from bento_monitor.backends.outputs import flatten_output, output_builder, output_classes
from bento_monitor.errors import InputError
from bento_monitor.releases.release_record import OutputForm


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


class ModelOutput(OrderedDict[str, Any]):
    """A mapping with attributes, like the outputs of model libraries."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)

    def __getattr__(self, name: str) -> Any:
        return self[name]


CPU = torch.device("cpu")
A, B = torch.tensor([1.0]), torch.tensor([2.0])


@pytest.mark.parametrize(
    "output", [A, (A, B), [A, B], {"a": A, "b": B}, Pair(A, B)], ids=["tensor", "tuple", "list", "dict", "named"]
)
def test_output_is_restored_in_its_original_form(output: Any) -> None:
    form, names, arrays = flatten_output(output)
    again = output_builder(form, names, output_classes(output))([array.numpy() for array in arrays], CPU)
    assert type(again) is type(output)
    assert repr(again) == repr(output)


def test_mapping_with_its_own_class_keeps_attributes() -> None:
    output = ModelOutput(hidden=A, cache=None, pooled=B)
    form, names, arrays = flatten_output(output)
    again = output_builder(form, names, output_classes(output))(arrays, CPU)
    assert isinstance(again, ModelOutput)
    assert again.pooled is B
    assert list(again) == ["hidden", "cache", "pooled"]


@pytest.mark.parametrize("output", ["text", 3.0, None, (), {"a": "text"}, (A, object()), {"a": (A, {B})}, {(1, 2): A}])
def test_output_of_other_types_than_tensors_and_constants_is_refused(output: Any) -> None:
    with pytest.raises(InputError, match="only|keys"):
        flatten_output(output)


@pytest.mark.parametrize("device", [None, CPU])
def test_output_arrays_have_the_kind_of_the_inputs_if_specified(device: torch.device | None) -> None:
    build = output_builder(OutputForm("array", "inputs"), ["y"], ())
    assert isinstance(build([np.ones(2)], device), torch.Tensor) == (device is not None)


def test_output_tensors_are_on_the_device_of_the_inputs() -> None:
    build = output_builder(OutputForm("array", "torch"), ["y"], ())
    assert build([np.ones(2)], torch.device("meta")).device.type == "meta"
    assert build([np.ones(2)], None).device.type == "cpu"
