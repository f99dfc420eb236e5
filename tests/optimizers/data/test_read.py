from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bento_monitor.lab.model_host.messages import ApiDescription, ParameterDescription
from optimizers.data.read import data_digest, read_data
from optimizers.errors import StudyInputError


def api(
    *parameters: ParameterDescription, is_batchable: bool = False, takes_whole_body: bool = False
) -> ApiDescription:
    return ApiDescription("predict", "/predict", is_batchable, 8, parameters, takes_whole_body)


def parameter(name: str, kind: str = "tensor", **more: Any) -> ParameterDescription:
    return ParameterDescription(
        **{"name": name, "type": kind, "is_file": False, "is_required": True, "columns": (), **more}
    )


def sent(path: Path, to: ApiDescription) -> list[list[Any]]:
    """Return the bodies of the samples for each way to send them."""
    return [[json.loads(body) for body in data.bodies] for data in read_data(path).requests_for(to)]


def test_row_is_a_batch_of_one_for_a_batchable_api(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(4.0).reshape(2, 2), labels=[0, 1])
    assert sent(tmp_path / "d.npz", api(parameter("x"), is_batchable=True)) == [[{"x": [[0, 1]]}, {"x": [[2, 3]]}]]


def test_row_is_tried_with_and_without_batch_axis_if_ambiguous(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.arange(4.0).reshape(2, 2), labels=[0, 1])
    assert sent(tmp_path / "d.npz", api(parameter("x"))) == [
        [{"x": [[0, 1]]}, {"x": [[2, 3]]}],
        [{"x": [0, 1]}, {"x": [2, 3]}],
    ]


def test_parameters_are_sent_together_and_plain_types_without_batch_axis(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", text=["a", "b"], k=[1, 2], labels=["no", "yes"])
    to = api(parameter("text", "string"), parameter("k", "integer"), parameter("unused", is_required=False))
    assert sent(tmp_path / "d.npz", to) == [[{"text": "a", "k": 1}, {"text": "b", "k": 2}]]
    labels = read_data(tmp_path / "d.npz").labels
    assert labels is not None
    assert labels.tolist() == ["no", "yes"]


def test_array_of_whole_bodies_may_have_any_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", anything=np.ones((2, 3)), labels=[0, 1])
    assert sent(tmp_path / "d.npz", api(parameter("root"), takes_whole_body=True))[0] == [[[1, 1, 1]]] * 2


def test_data_frame_gets_its_column_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", df=np.arange(4.0).reshape(2, 2), labels=[0, 1])
    to = api(parameter("df", "dataframe", columns=("u", "v")), is_batchable=True)
    assert sent(tmp_path / "d.npz", to)[0][1] == {"df": [{"u": 2, "v": 3}]}
    with pytest.raises(StudyInputError, match="data frame.*jsonl"):
        sent(tmp_path / "d.npz", api(parameter("df", "dataframe"), is_batchable=True))


def test_line_holds_the_label_with_or_separate_from_the_body(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"text": "a", "label": 1}\n\n{"request": {"text": "b\\u2028"}, "label": 0}\n')
    assert sent(path, api(parameter("text", "string"))) == [[{"text": "a"}, {"text": "b\u2028"}]]
    with pytest.raises(StudyInputError, match="line 1.*has a parameter 'label'"):
        sent(path, api(parameter("text", "string"), parameter("label", "string")))


def test_body_may_be_a_list(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"request": [1], "label": 1}\n{"request": [2], "label": 0}\n')
    assert sent(path, api(parameter("root"), takes_whole_body=True)) == [[[1], [2]]]


def test_files_are_sent_in_a_form_with_the_parameter_columns(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_bytes(b"one\r\n")
    (tmp_path / "b.bin").write_bytes(b"\x00--two")
    (tmp_path / "labels.csv").write_text("file,label,size,note\nsub/a.txt,007,3,x\nb.bin,1,4,y\n")
    data = read_data(tmp_path)
    (found,) = data.requests_for(api(parameter("upload", "file", is_file=True), parameter("size", "integer")))
    assert data.labels is not None
    assert data.labels.tolist() == ["007", "1"], "007 is not a number"
    boundary = found.content_type.partition("boundary=")[2].encode()
    assert found.bodies[0] == (
        b"--" + boundary + b'\r\nContent-Disposition: form-data; name="upload"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\none\r\n\r\n--"
        + boundary
        + b'\r\nContent-Disposition: form-data; name="size"\r\n\r\n3\r\n--'
        + boundary
        + b"--\r\n"
    )
    with pytest.raises(StudyInputError, match="predict takes no file, and the folder .* give a .npz file"):
        data.requests_for(api(parameter("x")))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": [0, 1]}, r"'labels'.*'x' is missing"),
        ({"x": [[1.0], [2.0]], "labels": [0, 1, 2]}, "2 in 'x', 3 in 'labels'"),
        ({"x": [[1.0], [np.nan]], "labels": [0, 1]}, "NaN or infinite number in row 1"),
        ({"x": [[1.0]], "labels": [0]}, "1 sample"),
        ({"x": np.empty((2, 0)), "labels": [0, 1]}, "empty"),
        ({"x": 3.0, "labels": [0, 1]}, "single value"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(StudyInputError, match=message):
        sent(tmp_path / "d.npz", api(parameter("x")))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.array([{}, []], dtype=object), labels=[0, 1])
    with pytest.raises(StudyInputError, match="never loaded") as raised:
        read_data(tmp_path / "d.npz")
    assert "allow_pickle" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: write the samples with numpy.savez"),
        (b"a,b\n1,2\n", "is not a .npz file: write the samples"),
        (pickle.dumps({"x": 1}), "is a pickle, which is never loaded: write"),
        (b"PK\x03\x04" + bytes(50), "may be truncated"),
    ],
)
def test_file_without_arrays_is_refused_with_advice(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(StudyInputError, match=message) as raised:
        read_data(tmp_path / "d.npz")
    assert "allow_pickle" not in str(raised.value)


def test_damaged_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((100, 2)), labels=np.zeros(100))
    content = bytearray((tmp_path / "d.npz").read_bytes())
    content[400:420] = b"\xff" * 20
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(StudyInputError, match="'x' cannot be read.*damaged"):
        read_data(tmp_path / "d.npz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]\n[2]", "line 1 is not a JSON object"),
        ('{"x": 1, "label": 1}\n{"x": 2}', "line 2 has no 'label'"),
        ('{"x": 1, "label": 1}\n{"x": 2, "label": "a"}', "several types"),
        ('{"x": 1, "label": [1, 2]}\n{"x": 2, "label": [1]}', "several types or shapes"),
        ('{"x": 1, "label": null}\n{"x": 2, "label": 1}', "several types"),
        ('{"x": 1, "label": NaN}\n{"x": 2, "label": 1}', "NaN"),
        ("", "0 sample"),
        ("[" * 100_000, "line 1 is nested too deeply"),
    ],
)
def test_unusable_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "d.jsonl").write_text(text)
    with pytest.raises(StudyInputError, match=message):
        read_data(tmp_path / "d.jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,1\n", "columns name, label: rename them to"),
        ("file,label\n../a,1\nb,1\n", "line 2: the file '../a' does not exist"),
        ("file,label\n,1\nb,1\n", "line 2: the file '' does not exist"),
    ],
)
def test_folder_with_missing_files_or_columns_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").write_text("outside")
    (tmp_path / "folder" / "b").write_text("inside")
    (tmp_path / "folder" / "labels.csv").write_text(text)
    with pytest.raises(StudyInputError, match=message):
        read_data(tmp_path / "folder")


def test_missing_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInputError, match="The data file .* does not exist"):
        read_data(tmp_path / "missing.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(StudyInputError, match="x.npz cannot be read as a .npz file"):
        read_data(tmp_path / "x.npz")
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(StudyInputError, match="a single array without a name"):
        read_data(tmp_path / "one.npy")


def test_digest_changes_with_the_content_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\na,1\nb,2\n")
    (tmp_path / "a").write_text("1")
    before = data_digest(tmp_path)
    assert data_digest(tmp_path) == before
    (tmp_path / "a").write_text("2")
    assert data_digest(tmp_path) != before


def test_empty_label_in_labels_csv_is_refused(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text(name)
    for missing in ("b.txt,\n", "b.txt\n", "b.txt,  \n"):
        (tmp_path / "labels.csv").write_text(f"file,label\na.txt,1\n{missing}c.txt,0\n")
        with pytest.raises(StudyInputError, match="labels.csv, line 3 has no label"):
            read_data(tmp_path)
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbffile,label\r\na.txt,1\r\nb.txt,2\r\n")
    labels = read_data(tmp_path).labels
    assert labels is not None
    assert labels.tolist() == [1, 2]


def test_utf8_bytes_are_texts_and_other_bytes_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "good.npz", text=np.array(["ä".encode(), b"b"]), labels=[0, 1])
    assert sent(tmp_path / "good.npz", api(parameter("text", "string"))) == [[{"text": "ä"}, {"text": "b"}]]
    np.savez(tmp_path / "bad.npz", text=np.array([b"\xff", b"b"]), labels=[0, 1])
    with pytest.raises(StudyInputError, match="'text' holds bytes that are not UTF-8"):
        read_data(tmp_path / "bad.npz")


def test_too_deeply_nested_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"x": ' + "[" * 200_000 + "\n")
    with pytest.raises(StudyInputError, match="line 1 is nested too deeply"):
        read_data(tmp_path / "d.jsonl")


def test_groups_are_read_from_each_format_unless_the_api_takes_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=[1.0, 2.0], labels=[0, 1], groups=[7, 8])
    (tmp_path / "d.jsonl").write_text('{"x": 1, "label": 0, "group": "a"}\n{"x": 2, "label": 1, "group": "b"}\n')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "labels.csv").write_text("file,label,group\n1.txt,0,a\n2.txt,1,b\n")
    for name in ("1.txt", "2.txt"):
        (tmp_path / "files" / name).write_text(name)
    takes_x = api(parameter("x"), is_batchable=True)
    takes_file = api(parameter("upload", "file", is_file=True))
    for name, to, groups in (
        ("d.npz", takes_x, ["7", "8"]),
        ("d.jsonl", takes_x, ["a", "b"]),
        ("files", takes_file, ["a", "b"]),
    ):
        found = read_data(tmp_path / name).requests_for(to)[0]
        assert found.groups is not None
        assert found.groups.tolist() == groups
        assert all(b"group" not in body for body in found.bodies)
    for name, own in (("d.npz", "groups"), ("d.jsonl", "group")):
        found = read_data(tmp_path / name).requests_for(api(parameter("x"), parameter(own), is_batchable=True))[0]
        assert found.groups is None
        assert own in json.loads(found.bodies[0])


def test_group_is_given_for_each_line_and_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"x": 1, "label": 0, "group": "a"}\n{"x": 2, "label": 1}\n')
    with pytest.raises(StudyInputError, match=r"line 2 has no 'group'"):
        read_data(path).requests_for(api(parameter("x")))
    path.write_text('{"x": 1, "label": 0, "group": 1.5}\n{"x": 2, "label": 1, "group": 2}\n')
    with pytest.raises(StudyInputError, match=r"group 1.5 is neither a text nor a whole number"):
        read_data(path).requests_for(api(parameter("x")))
