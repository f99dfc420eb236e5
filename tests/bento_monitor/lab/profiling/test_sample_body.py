from __future__ import annotations

import json

import pytest

from bento_monitor.errors import InputError
from bento_monitor.lab.profiling.sample_body import ApiSchema, read_bodies, sample_body


def body(schema, **components):
    return json.loads(sample_body(ApiSchema("/f", schema, components)))


def fields(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 7}, 7),
        ({"type": "number", "exclusiveMinimum": 2}, 3),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "string", "maxLength": 7}, "A short"),
        ({"type": "string", "default": "given"}, "given"),
        ({"type": "string", "enum": ["a", "b"]}, "a"),
        ({"const": 4}, 4),
        ({"type": "string", "examples": ["one", "two"]}, "one"),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"allOf": [fields(a={"type": "integer"}), fields(b={"type": "boolean"})]}, {"a": 1, "b": True}),
    ],
)
def test_each_kind_of_schema_gives_a_valid_value(schema, value):
    assert body(fields(x=schema)) == {"x": value}


def test_optional_inputs_are_left_out():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
    assert body(schema) == {"a": 1}


def test_reference_is_followed():
    assert body(fields(x={"$ref": "#/components/schemas/Inner"}), Inner=fields(y={"type": "integer"})) == {
        "x": {"y": 1}
    }


def test_string_is_as_long_as_required():
    assert len(body(fields(x={"type": "string", "minLength": 100}))["x"]) == 100


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "tensor", "format": "numpy-array"}, "an input of type tensor numpy-array"),
        ({"type": "string", "format": "binary"}, "an input of type string binary"),
        ({"$ref": "#/components/schemas/Endless"}, "its schema refers to itself"),
    ],
)
def test_error_for_an_undescribed_input_asks_for_data(schema, reason):
    with pytest.raises(InputError, match=f"{reason}.*--data FILE"):
        body(fields(x=schema), Endless=fields(x={"$ref": "#/components/schemas/Endless"}))


def test_bodies_are_read_one_per_line(tmp_path):
    file = tmp_path / "bodies.jsonl"
    file.write_text('{"x": 1}\n\n{"x": 2}\n')
    assert read_bodies(file) == (b'{"x": 1}', b'{"x": 2}')


@pytest.mark.parametrize(("text", "message"), [("", "is empty"), ('{"x": 1}\nno\n', "Line 2 of")])
def test_file_without_bodies_is_refused(tmp_path, text, message):
    file = tmp_path / "bodies.jsonl"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_bodies(file)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_bodies(tmp_path / "none")
