"""Records of releases whose outputs are those of an estimator's methods."""

from __future__ import annotations

import json

import pytest

from bento_monitor.errors import ReleaseError
from bento_monitor.releases.release_json import parse_release
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.serving_config import Execution

RELEASE = Release(
    name="svc-release:1",
    service="Svc",
    apis=("predict",),
    runner="model",
    execution=Execution("onnxruntime", "fp32", 1),
    batching=None,
    workers=None,
    artifact_file="model.onnx",
    artifact_sha256="0" * 64,
    inputs=(TensorSpec("X", "float64", (None, 4), (2, 4)),),
    outputs=(TensorSpec("predict", "str", (None,)), TensorSpec("predict_proba", "float64", (None, 3))),
    output_form=OutputForm("methods", "numpy"),
)


def test_record_with_methods_is_read_back_unchanged() -> None:
    assert parse_release(RELEASE.to_json()) == RELEASE


@pytest.mark.parametrize(("field", "kind"), [("outputs", "array"), ("inputs", "methods")])
def test_text_is_refused_except_as_output_of_a_method(field: str, kind: str) -> None:
    raw = json.loads(RELEASE.to_json())
    raw["output_form"]["kind"] = kind
    raw[field][0]["dtype"] = "str"
    with pytest.raises(ReleaseError, match=f"{field}.*dtype is 'str'"):
        parse_release(json.dumps(raw))
