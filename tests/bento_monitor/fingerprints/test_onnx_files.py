"""An ONNX file's fingerprint covers its bytes and every file that one of its tensors names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bento_monitor.backends.own import OwnOnnxFile
from bento_monitor.errors import ReleaseError
from bento_monitor.fingerprints import ModelFingerprint
from bento_monitor.fingerprints.onnx_external import read_external_names


def _own(path: Path) -> Any:
    """Return a wrapped file for the fingerprint, without a session: some of these files cannot have one."""
    own = OwnOnnxFile.__new__(OwnOnnxFile)
    own.path = path
    return own


def _value(path: Path) -> str:
    return ModelFingerprint(_own(path)).value()


def _external(name: str, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="16")
    return tensor


def _inline(name: str, size: int = 4, value: float = 1.0) -> TensorProto:
    return numpy_helper.from_array(np.full(size, value, np.float32), name)


def _graph(*nodes: Any, initializers: Any = (), name: str = "graph") -> Any:
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [4]) for end in ("x", "y")]
    return helper.make_graph(list(nodes), name, ends[:1], ends[1:], initializer=list(initializers))


def _save(folder: Path, graph: Any, **more: Any) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(helper.make_model(graph, **more).SerializeToString())
    return path


def _sparse(location: str) -> Any:
    return helper.make_sparse_tensor(_external("values", location), _external("indices", f"{location}.indices"), [9])


def _everywhere() -> tuple[Any, dict[str, Any]]:
    """Return a graph with an external tensor in each place where ONNX allows one."""
    inner = _graph(
        helper.make_node("Constant", [], ["c"], value=_external("c", "in_a_constant")),
        initializers=[_external("w", "in_a_subgraph")],
    )
    nodes = [
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=_graph(name="other")),
        helper.make_node("Custom", ["x"], ["z"], domain="own", values=[_external("a", "in_a_list")]),
        helper.make_node("Custom", ["x"], ["v"], domain="own", graphs=[_graph(initializers=[_external("b", "deep")])]),
        helper.make_node("Constant", [], ["s"], sparse_value=_sparse("in_a_sparse_constant")),
    ]
    graph = _graph(
        *nodes, initializers=[_external("i", "folder/in_an_initializer"), _inline("n"), _external("j", "deep")]
    )
    graph.sparse_initializer.append(_sparse("sparse"))
    body = helper.make_node("Constant", [], ["out"], value=_external("f", "in_a_function"))
    function = helper.make_function("own", "F", ["x"], ["out"], [body], [helper.make_opsetid("", 21)])
    default = helper.make_attribute("default", _external("d", "in_a_default"))
    function.attribute_proto.append(default)
    return graph, {"functions": [function]}


NAMES = {
    "deep",
    "folder/in_an_initializer",
    "in_a_constant",
    "in_a_default",
    "in_a_function",
    "in_a_list",
    "in_a_sparse_constant",
    "in_a_sparse_constant.indices",
    "in_a_subgraph",
    "sparse",
    "sparse.indices",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a model that has external tensors everywhere."""
    graph, more = _everywhere()
    _save(tmp_path, graph, **more)
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def test_external_files_are_found_wherever_their_tensors_are(folder: Path) -> None:
    assert read_external_names(folder / "model.onnx") == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_change_of_any_external_file_is_detected(name: str, folder: Path) -> None:
    before = _value(folder / "model.onnx")
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-1] + b"!")

    assert _value(folder / "model.onnx") != before


@pytest.mark.parametrize("name", sorted(NAMES))
def test_missing_external_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    own = ModelFingerprint(_own(folder / "model.onnx"))

    with pytest.raises(ReleaseError, match=rf"cannot be fingerprinted: .*{name}"):
        own.value()


def test_swapped_external_files_are_detected(folder: Path) -> None:
    before = _value(folder / "model.onnx")
    first, second = folder / "in_a_list", folder / "deep"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)

    assert _value(folder / "model.onnx") != before


def test_copy_under_another_name_is_the_same(folder: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("other") / "folder"
    shutil.copytree(folder, other)
    (other / "model.onnx").rename(other / "renamed.onnx")

    assert _value(other / "renamed.onnx") == _value(folder / "model.onnx")


@pytest.mark.parametrize("location", ["../outside", "folder/../../outside", "/etc/hostname"])
def test_external_file_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").write_bytes(b"there")
    path = _save(inside, _graph(initializers=[_external("w", location)]))

    with pytest.raises(ReleaseError, match="outside of its folder"):
        _value(path)


def test_weights_in_the_file_are_hashed(tmp_path: Path) -> None:
    first = _value(_save(tmp_path, _graph(initializers=[_inline("w", 10_000)])))
    same = _value(_save(tmp_path, _graph(initializers=[_inline("w", 10_000)])))
    other = _value(_save(tmp_path, _graph(initializers=[_inline("w", 10_000, 2.0)])))

    assert first == same != other


def test_inline_tensors_of_any_size_need_no_external_file(tmp_path: Path) -> None:
    tensors = [_inline(f"w{size}", size) for size in (0, 1, 100, 5_000, 300_000)]
    path = _save(tmp_path, _graph(initializers=[*tensors, _external("last", "data.bin")]))

    assert read_external_names(path) == ["data.bin"]


def test_files_written_by_the_onnx_package_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = helper.make_model(_graph(initializers=[_inline(f"w{index}", 2_000) for index in range(50)]))
    onnx.save(model, path, save_as_external_data=True, location="weights.bin")

    assert read_external_names(path) == ["weights.bin"]


def test_file_that_is_not_a_protobuf_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    path.write_bytes(b"\x18\0\0\0ORTM" + b"\xff" * 1000)
    first = _value(path)
    path.write_bytes(b"\x18\0\0\0ORTM" + b"\xfe" * 1000)

    assert _value(path) != first


@pytest.mark.parametrize("name", ["model.onnx", "deep"])
def test_file_changed_after_loading_is_refused(name: str, folder: Path) -> None:
    own = ModelFingerprint(_own(folder / "model.onnx"))
    state = (folder / name).stat()
    os.utime(folder / name, ns=(state.st_atime_ns, state.st_mtime_ns + 1))

    with pytest.raises(ReleaseError, match="changed since it was loaded. Restart"):
        own.value()


def test_missing_file_is_refused_at_the_value_not_at_wrapping(tmp_path: Path) -> None:
    own = ModelFingerprint(_own(tmp_path / "none.onnx"))

    with pytest.raises(ReleaseError, match=r"none\.onnx cannot be read"):
        own.value()


def test_file_is_never_stale_and_keeps_its_value(folder: Path) -> None:
    own = ModelFingerprint(_own(folder / "model.onnx"))
    before = own.value()
    (folder / "deep").write_bytes(b"other")

    assert not own.is_stale()
    assert own.value() == before


def test_file_truncated_during_hashing_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModelFingerprint(_own(folder / "model.onnx"))
    real = os.preadv

    def cut(descriptor: int, buffers: Any, offset: int) -> int:
        os.truncate(folder / "deep", 1)
        return real(descriptor, buffers, offset)

    monkeypatch.setattr("bento_monitor.fingerprints.onnx_file.os", SimpleNamespace(**{**vars(os), "preadv": cut}))

    with pytest.raises(ReleaseError, match="changed since it was loaded"):
        own.value()


def test_wrapped_session_has_the_fingerprint_of_its_file(tmp_path: Path) -> None:
    graph = _graph(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[_inline("w")])
    path = _save(tmp_path, graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    assert ModelFingerprint(OwnOnnxFile(path)).value() == _value(path)
