"""A study belongs to one model: retrained weights are another study, and never get the old one's proof.

Seen before: `optimize` returned "drop at most +0.0000" for a model at .028, since the study's key did not include the
weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from live import Place

from bento_monitor.errors import ServiceError
from bento_monitor.lab.loadgen.packing import write_bodies
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import RequestSource
from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.releasing import make_release
from optimizers.stages.subject import find_subject
from optimizers.study_folder import study_key
from optimizers.study_spec import StudySpec, command_of

CIRCUMSTANCES = {"versions": {"torch": "2.13.0"}, "cpu": "one", "cores": 2}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    generator = np.random.default_rng(0)
    x = generator.normal(size=(40, 2)).astype(np.float32)
    np.savez(tmp_path / "eval.npz", x=x, labels=x[:, :1] * 2)
    return place


def spec_of(place: Place) -> StudySpec:
    return StudySpec(
        target="service:Wild",
        working_dir=place.project,
        data=place.folder / "eval.npz",
        metric="mean_absolute_error",
        api="embed",
    )


def fingerprint_of(place: Place) -> str:
    spec = spec_of(place)
    with ModelHost(spec.target, spec.working_dir, place.env) as host:
        return find_subject(host, spec, place.folder).subject.interface.fingerprint


def test_retrained_weights_are_another_study_and_equal_weights_the_same(place: Place) -> None:
    spec, fingerprint = spec_of(place), fingerprint_of(place)
    key = study_key(spec, fingerprint, CIRCUMSTANCES)
    assert study_key(spec, fingerprint_of(place), CIRCUMSTANCES) == key
    place.train(embed=2.5)
    assert study_key(spec, fingerprint_of(place), CIRCUMSTANCES) != key
    assert study_key(spec, fingerprint, {**CIRCUMSTANCES, "cores": 4}) != key


def test_optimizer_and_worker_see_the_same_model(place: Place) -> None:
    with place.serve(workers=1) as live:
        assert live.fingerprints()["embed"] == fingerprint_of(place)


def test_release_is_bound_to_its_model_and_names_its_renewal_command(place: Place) -> None:
    spec = spec_of(place)
    with ModelHost(spec.target, spec.working_dir, place.env) as host:
        subject = find_subject(host, spec, place.folder).subject
    candidate = Candidate(Execution("torch", "fp32", 1), Batching(4, 0.0), 1)
    release = make_release("wild-release:1", subject, candidate, None, {"command": command_of(spec)})
    assert (release.model_fingerprint, release.apis) == (subject.interface.fingerprint, ("embed",))
    assert release.renewal.startswith("bento-monitor optimize service:Wild --data ")
    assert "--api embed" in release.renewal


def test_dangling_editor_lock_is_not_part_of_a_study(place: Place) -> None:
    key = study_key(spec_of(place), "v1:0", CIRCUMSTANCES)
    (place.project / ".#service.py").symlink_to("somebody@somewhere.1234")
    assert study_key(spec_of(place), "v1:0", CIRCUMSTANCES) == key


CHANGING = """
import bentoml
import torch
from bento_monitor import MonitoredRunner, monitored


class Counting(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * self.calls


@monitored
@bentoml.service
class Changing:
    def __init__(self) -> None:
        self.model = MonitoredRunner(Counting().eval())

    @bentoml.api(batchable=True)
    def embed(self, x: list[list[float]]) -> list[list[float]]:
        with torch.no_grad():
            return self.model(torch.tensor(x)).tolist()
"""


def test_model_that_changes_its_weights_in_calls_gets_no_release(place: Place) -> None:
    (place.project / "changing.py").write_text(CHANGING)
    write_bodies(place.folder / "bodies.npz", [b'{"x": [[1.0, 2.0]]}'] * 8)
    with (
        ModelHost("changing:Changing", place.project, place.env) as host,
        pytest.raises(ServiceError, match="change when it is called"),
    ):
        host.capture("embed", RequestSource(place.folder / "bodies.npz"))
