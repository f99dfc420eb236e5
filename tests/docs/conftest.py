"""The project of the tutorial, in which every other page continues."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from jaeger_server import JaegerServer
from pages import ROOT, Project, run_page


@pytest.fixture(scope="session")
def tutorial_project(tmp_path_factory: pytest.TempPathFactory, jaeger: JaegerServer) -> Iterator[Project]:
    """The folder after the whole tutorial has run."""
    folder = tmp_path_factory.mktemp("tutorial")
    homes = {"BENTOML_HOME": str(folder / "bentoml"), "BENTO_MONITOR_HOME": str(folder / "monitor")}
    ports = {
        "4318": str(urlsplit(jaeger.otlp_http_endpoint).port),
        "4317": str(urlsplit(jaeger.otlp_grpc_endpoint).port),
        "16686": str(urlsplit(jaeger.query_url).port),
    }
    project = Project(folder, {**ports, "MyService": "Digits"}, homes)
    try:
        run_page(ROOT / "docs" / "tutorial.md", project)
        yield project
    finally:
        project.stop_server()
