"""An API of any shape is called in process just as by a client: the same bodies, the same responses.

Seen before: one that is not batchable got only responses other than 2xx, found after minutes; several parameters,
pydantic models, data frames and files were refused; an axis was considered fixed since a `.npz` is rectangular; batches
of 256 were made for an author's `max_batch_size` of 8.
"""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from bento_monitor.errors import ServiceError
from bento_monitor.lab.loadgen.packing import read_bodies, write_bodies
from bento_monitor.lab.model_host.answer_values import read_answers
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import ApiDescription, Contender, RequestSource
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from optimizers.data._base import EvaluationData
from optimizers.data.read import read_data

APIS = Path(__file__).parent / "apis"
PAIRS = {"x": np.array([[0.5, 2.0], [3.0, -1.0], [0.25, 0.0], [1.0, 1.5]], dtype=np.float32), "labels": [0, 1, 0, 1]}


@pytest.fixture(scope="module")
def host() -> Iterator[ModelHost]:
    with ModelHost("service:Apis", APIS) as running:
        yield running


@pytest.fixture(scope="module")
def apis(host: ModelHost) -> dict[str, ApiDescription]:
    return {api.name: api for api in host.describe().apis}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("apis")
    env = {"BENTO_MONITOR_HOME": str(home / "monitor")}
    spec = ServerSpec(target="service:Apis", working_dir=APIS, env=env, home=home / "bentoml", service_name="Apis")
    with start_server(spec) as running:
        yield running


def written(folder: Path, name: str) -> Path:
    """Write data for the API of that name, in a suitable format."""
    if name in ("image", "upload"):
        return files(folder, name)
    if name in LINES:
        path = folder / "data.jsonl"
        path.write_text("\n".join(json.dumps(line) for line in LINES[name]))
        return path
    arrays = dict(PAIRS)
    if name == "frame":
        arrays["df"] = arrays.pop("x")
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return folder / "data.npz"


LINES: dict[str, list[dict[str, Any]]] = {
    "several": [{"text": "a" * n, "x": [1.0], "scale": n, "label": "no"} for n in (1, 5, 9)],
    "loans": [{"loans": [{"amount": n, "term": 2}], "label": "good"} for n in (0.5, 7.0, 2.0)],
    "texts": [{"texts": ["t" * n], "label": "1"} for n in (1, 4, 2)],
    "whole": [{"request": {"amount": n}, "label": 1} for n in (1.0, 2.0, 3.0)],
}


def files(folder: Path, name: str) -> Path:
    generator = np.random.default_rng(0)
    lines = ["file,label"]
    for index in range(3):
        buffer = io.BytesIO()
        PIL.Image.fromarray(generator.integers(0, 255, (6, 7), dtype=np.uint8)).save(buffer, format="PNG")
        (folder / f"{index}.png").write_bytes(buffer.getvalue() if name == "image" else b"x" * index)
        lines.append(f"{index}.png,{index % 2}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def requests(folder: Path, api: ApiDescription) -> tuple[EvaluationData, RequestSource]:
    data = read_data(written(folder, api.name)).requests_for(api)[0]
    write_bodies(folder / "bodies.npz", data.bodies)
    return data, RequestSource(folder / "bodies.npz", data.content_type)


def asked(server: ServerProcess, route: str, body: bytes, content_type: str) -> Any:
    request = urllib.request.Request(server.base_url + route, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=20) as response:
        text = response.read().decode()
        return json.loads(text) if response.headers.get_content_type() == "application/json" else text


@pytest.mark.parametrize(
    "name",
    ["alone", "batch", "several", "loans", "frame", "image", "upload", "whole", "texts", "changes_its_input"],
)
def test_response_in_process_equals_a_servers(
    host: ModelHost, apis: dict[str, ApiDescription], server: ServerProcess, tmp_path: Path, name: str
) -> None:
    data, source = requests(tmp_path, apis[name])
    for row, body in enumerate(data.bodies):
        assert host.answer(name, source, row) == asked(server, apis[name].route, body, data.content_type)


@pytest.mark.parametrize("name", ["alone", "batch", "loans", "frame", "image", "changes_its_input"])
def test_responses_to_all_samples_equal_those_to_each_alone(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path, name: str
) -> None:
    data, source = requests(tmp_path, apis[name])
    host.capture(name, source)
    host.answers(name, source, Contender(), tmp_path / "answers.npz", batch_size=3, seed=1)
    alone = [host.answer(name, source, row) for row in range(len(data.bodies))]
    bare = [answer[0] if isinstance(answer, list) and len(answer) == 1 else answer for answer in alone]
    found = read_answers(tmp_path / "answers.npz")
    if isinstance(found, list):
        assert [answer["label"] for answer in found] == [answer["label"] for answer in bare]
    else:
        np.testing.assert_allclose(found, bare, rtol=1e-5)


def test_list_is_sent_unwrapped_if_a_batch_of_one_is_refused(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path
) -> None:
    as_batch, as_it_is = read_data(written(tmp_path, "alone_row")).requests_for(apis["alone_row"])
    for data, is_taken in ((as_batch, False), (as_it_is, True)):
        write_bodies(tmp_path / f"{is_taken}.npz", data.bodies)
        source = RequestSource(tmp_path / f"{is_taken}.npz")
        if is_taken:
            assert host.answer("alone_row", source, 0) == pytest.approx([1.25, 2.0])
        else:
            with pytest.raises(ServiceError, match="refuses the request"):
                host.answer("alone_row", source, 0)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("alone", (None, None)), ("batch", (None, None)), ("image", (1, None)), ("frame", (None, 2)), ("whole", (1, 2))],
)
def test_axis_varies_if_the_function_accepts_another_length(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path, name: str, shape: tuple[int | None, ...]
) -> None:
    interface = host.capture(name, requests(tmp_path, apis[name])[1])
    assert interface.inputs[0].shape == shape


def test_slower_of_two_models_is_described(host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path) -> None:
    interface = host.capture("two_models", requests(tmp_path, apis["two_models"])[1])
    assert interface.runner in ("pooled", "fixed")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stream", "stream"),
        ("picture", "image/png: only JSON and text"),
        ("exits", "it ends the process, with the exit code 3"),
    ],
)
def test_incomparable_response_is_reported_at_once(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path, name: str, message: str
) -> None:
    with pytest.raises(ServiceError, match=message):
        host.answer(name, requests(tmp_path, apis[name])[1], 0)


def test_error_status_set_by_the_api_is_not_an_answer(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path
) -> None:
    source = requests(tmp_path, apis["sets_a_status"])[1]
    for row in (0, 2):  # before and after a refused one
        assert host.answer("sets_a_status", source, row) is not None
        with pytest.raises(ServiceError, match="answers a sample with status 422"):
            host.answer("sets_a_status", source, 1)


def test_refused_file_is_named_and_its_content_is_not_printed(
    host: ModelHost, apis: dict[str, ApiDescription], tmp_path: Path
) -> None:
    source = requests(tmp_path, apis["image"])[1]
    bodies = [b"--" + body.partition(b"--")[2].replace(b"PNG", b"XXX") for body in read_bodies(source.path)]
    write_bodies(tmp_path / "broken.npz", bodies)
    with pytest.raises(ServiceError, match=r"refuses the request with the file 0\.png") as raised:
        host.answer("image", RequestSource(tmp_path / "broken.npz", source.content_type), 0)
    assert "\n" not in str(raised.value)
    assert "object at" not in str(raised.value)
