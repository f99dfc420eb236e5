"""Every field of a release record has bounds, and values outside of them are refused before they have any effect.

Seen before: `max_batch_size: 0` was promoted as "serving" and no request was answered any more; a million threads used
1.5 GB, and no release could be loaded after it; a service named `../../escape` made folders outside the home; the class
of an output was imported from the working folder.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from releasing import FINGERPRINT, SERVICE, make_release

from bento_monitor.cli import main
from bento_monitor.errors import ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.release_json import parse_release
from bento_monitor.releases.release_record import OutputForm, OutputNode, Release, TensorSpec
from bento_monitor.runner import MonitoredRunner
from bento_monitor.serving_config import Execution

NESTED: Any = []
for _ in range(200):
    NESTED = [NESTED]


def node(kind: Any, *items: Any, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "items": list(items), "keys": [], "type_name": None, "value": None, **more}


def nested(root: Any) -> dict[str, Any]:
    return {"kind": "nested", "arrays": "torch", "type_name": None, "root": root}


LEAF = node("constant", value=3)
DEEP: Any = LEAF
for _ in range(12):
    DEEP = node("tuple", DEEP)

OUT_OF_BOUNDS: list[tuple[str, Any]] = [
    ("name", "svc-release"),
    ("name", "../svc:1"),
    ("name", "svc-release:../1"),
    ("name", 7),
    ("service", "../../escape"),
    ("service", "a/b"),
    ("service", ".."),
    ("service", ""),
    ("service", "x\x00y"),
    ("service", "x\x1b[2Jy"),
    ("service", "x" * 1000),
    ("service", None),
    ("apis", []),
    ("apis", "embed"),
    ("apis", ["embed", "embed"]),
    ("apis", [3]),
    ("runner", ""),
    ("runner", ["model"]),
    ("execution.backend", "tensorrt"),
    ("execution.precision", "Int 4"),
    ("execution.precision", "int4" * 100),
    ("execution.intra_op_threads", 0),
    ("execution.intra_op_threads", 1_000_000),
    ("execution.intra_op_threads", True),
    ("execution.intra_op_threads", 2.5),
    ("execution.streams", 0),
    ("execution.streams", 10**9),
    ("execution.allow_spinning", "yes"),
    ("execution.cuda_graphs", 1),
    ("execution.cuda_graphs", True),  # of the backend onnxruntime
    ("execution.sub_batch_size", 0),
    ("execution.sub_batch_size", -4),
    ("execution.mask_input", 3),
    ("execution.unknown", 1),
    ("batching.max_batch_size", 0),
    ("batching.max_batch_size", -1),
    ("batching.max_batch_size", 10**12),
    ("batching.max_batch_size", True),
    ("batching.window_ms", -1),
    ("batching.window_ms", 1e12),
    ("batching.window_ms", float("nan")),
    ("batching.window_ms", float("inf")),
    ("batching.window_ms", "5"),
    ("workers", 0),
    ("workers", 10**6),
    ("artifact_file", "../model.onnx"),
    ("artifact_file", "release.json"),
    ("artifact_file", "/etc/passwd"),
    ("artifact_file", None),
    ("artifact_sha256", "0"),
    ("artifact_sha256", None),
    ("model_fingerprint", "v1"),
    ("model_fingerprint", 3),
    ("inputs.0.dtype", "object"),
    ("inputs.0.shape", [-1]),
    ("inputs.0.shape", [None] * 100),
    ("inputs.0.shape", [1.5, None]),
    ("inputs.0.example", [2**20, 2**20]),
    ("inputs.0.example", [1]),
    ("inputs.0.shape", [None, 2**30]),
    ("batching.window_ms", 10**400),
    ("inputs.0.name", ""),
    ("output_form.kind", "pickle"),
    ("output_form.arrays", "cupy"),
    ("output_form.type_name", 3),
    ("output_form.kind", "nested"),
    ("output_form.root", LEAF),
    ("output_form", nested(None)),
    ("output_form", nested("root")),
    ("output_form", nested({"kind": "tuple"})),
    ("output_form", nested(node("pickle", LEAF))),
    ("output_form", nested(node("tuple", LEAF, node("torch")))),
    ("output_form", nested(DEEP)),
    ("output_form", nested(node("tuple", LEAF, *[node("constant")] * 600))),
    ("output_form", nested(node("tuple", LEAF, node("constant", value=[1])))),
    ("output_form", nested(node("tuple", LEAF, node("constant", value="x" * 2000)))),
    ("output_form", nested(node("tuple", LEAF, node("constant", value=float("nan"))))),
    ("output_form", nested(node("mapping", LEAF))),
    ("output_form", nested(node("mapping", LEAF, keys=[[1]]))),
    ("output_form", nested(node("mapping", LEAF, keys=["y"], type_name=3))),
    ("output_form", nested(node("dataclass", LEAF, keys=["y"]))),
    ("output_form", nested(node("constant", LEAF))),
    ("evidence", []),
    ("evidence", {"deep": NESTED}),
    ("unknown", 1),
]


def changed(raw: dict[str, Any], field: str, value: Any) -> dict[str, Any]:
    target: Any = raw
    *way, last = field.split(".")
    for step in way:
        target = target[int(step) if step.isdigit() else step]
    target[last] = value
    return raw


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(("field", "value"), OUT_OF_BOUNDS, ids=lambda value: repr(value)[:40])
def test_field_out_of_bounds_is_refused_by_promote_and_shown_by_list(home: Path, field: str, value: Any) -> None:
    release, folder = make_release(home)
    record = folder / "release.json"
    record.write_text(json.dumps(changed(json.loads(record.read_text()), field, value)))
    before = sorted(path for path in home.parent.rglob("*"))
    promoted = CliRunner().invoke(main, ["release", "promote", release.name])
    assert promoted.exit_code == 1, promoted.output
    assert "cannot be used" in promoted.output
    listed = CliRunner().invoke(main, ["release", "list"])
    assert listed.exit_code == 0
    assert "damaged" in listed.output
    assert ActiveStore(home / "home", SERVICE).read().state.sequence == 0
    assert sorted(path for path in home.parent.rglob("*")) == before


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_json_record_is_a_release_or_refused(value: Any) -> None:
    try:
        parse_release(json.dumps(value))
    except ReleaseError:
        return
    raise AssertionError("this is a release")


@given(
    st.sampled_from([field for field, _ in OUT_OF_BOUNDS]),
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.integers()),
)
@settings(max_examples=300, deadline=None)
def test_record_with_any_field_value_is_refused_or_reads_back_equal(field: str, value: Any) -> None:
    release = Release(
        "svc-release:1",
        SERVICE,
        ("embed",),
        "model",
        Execution("onnxruntime", "fp32", 2),
        None,
        None,
        "model.onnx",
        "0" * 64,
    )
    raw = json.loads(release.to_json())
    if field.startswith(("inputs", "batching")):
        return
    try:
        found = parse_release(json.dumps(changed(raw, field, value)))
    except ReleaseError:
        return
    assert parse_release(found.to_json()) == found


def test_invalid_figure_does_not_break_the_list(home: Path) -> None:
    _, folder = make_release(home)
    record = folder / "release.json"
    raw = json.loads(record.read_text())
    raw["evidence"] = {"speedup": 10**400, "speedup_ci95": [10**400, 1]}
    record.write_text(json.dumps(raw))
    listed = CliRunner().invoke(main, ["release", "list"])
    assert (listed.exit_code, "not measured" in listed.output) == (0, True), listed.exception


def test_copied_release_under_another_name_is_not_promoted(home: Path) -> None:
    _, folder = make_release(home)
    folder.rename(folder.with_name("2"))
    done = CliRunner().invoke(main, ["release", "promote", "svc-release:2"])
    assert done.exit_code == 1
    assert "renamed by hand" in done.output


class Named(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x}


def test_class_of_an_output_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')\n\n\nclass Output(dict):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    spec = TensorSpec("x", "float32", (None, 2), (1, 2))
    release = Release(
        "svc-release:1",
        SERVICE,
        ("embed",),
        "named",
        Execution("torch", "fp32", 1),
        None,
        None,
        None,
        None,
        FINGERPRINT,
        (spec,),
        (TensorSpec("y", "float32", (None, 2), (1, 2)),),
        OutputForm("mapping", "torch", "trap:Output"),
    )
    runner = MonitoredRunner(Named().eval(), name="named")
    runner.activate(runner.prepare(release, tmp_path))
    assert type(runner(torch.ones(1, 2))) is dict
    assert runner.fallbacks.totals() == {}
    assert "trap" not in sys.modules


def test_too_many_threads_are_refused_before_they_start(tmp_path: Path) -> None:
    release, folder = make_release(tmp_path, execution=Execution("onnxruntime", "fp32", 4096), runner="many")
    runner = MonitoredRunner(Named().eval(), name="many")
    with pytest.raises(ReleaseError, match="4096 threads"):
        runner.prepare(release, folder)


def test_nested_output_round_trips_and_old_records_still_parse(tmp_path: Path) -> None:
    release = replace(make_release(tmp_path)[0], outputs=(TensorSpec("out.logits", "float32", (None,), (1,)),))
    inner = OutputNode("dataclass", (OutputNode("torch"),), ("logits",), "service:Output")
    root = OutputNode("mapping", (inner, OutputNode("constant", value=None)), ("out", 7))
    nested_release = replace(release, output_form=OutputForm("nested", root=root))
    assert parse_release(nested_release.to_json()) == nested_release
    raw = json.loads(release.to_json())
    del raw["output_form"]["root"]
    assert parse_release(json.dumps(raw)) == release
