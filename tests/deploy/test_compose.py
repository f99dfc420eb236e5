"""The compose file of deploy/: its files exist, images have versions, and ports are published only on loopback."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
VERSIONED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+")
# Prometheus and Grafana have their default ports; a test compares the others with their config files.
LISTENS = {
    "jaeger": {16686, 4317, 8888},
    "collector": {4317, 4318, 8888, 8889},
    "prometheus": {9090},
    "grafana": {3000},
}


def config(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_image_has_a_full_version(name: str) -> None:
    assert VERSIONED.fullmatch(SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_mounts_are_files_of_deploy_or_declared_volumes(name: str) -> None:
    for mount in SERVICES[name]["volumes"]:
        source, target, *options = mount.split(":")
        assert Path(target).is_absolute()
        if source.startswith("."):
            assert (DEPLOY / source).is_file()
            assert options == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_every_config_is_mounted() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service["volumes"]}
    configs = {f"./{path.relative_to(DEPLOY)}" for path in DEPLOY.rglob("*.yaml")}
    assert configs - mounted == {"./compose.yaml"}


@pytest.mark.parametrize("name", SERVICES)
def test_published_ports_are_on_loopback_and_listened_on(name: str) -> None:
    for published in SERVICES[name]["ports"]:
        address, _, port = published.split(":")
        assert address == "127.0.0.1"
        assert int(port) in LISTENS[name]


def test_published_ports_are_distinct_and_leave_3000_free() -> None:
    published = [port.split(":")[1] for service in SERVICES.values() for port in service["ports"]]
    assert len(set(published)) == len(published)
    assert "3000" not in published


def addresses() -> list[tuple[str, int]]:
    """Return every address at which one of the programs connects to another."""
    urls = [source["url"] for source in config("grafana/datasources.yaml")["datasources"]]
    backends = config("jaeger.yaml")["extensions"]["jaeger_storage"]["metric_backends"]
    urls += [backend["prometheus"]["endpoint"] for backend in backends.values()]
    scraped = [
        target
        for job in config("prometheus.yaml")["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    ]
    sent = [config("collector.yaml")["exporters"]["otlp/jaeger"]["endpoint"]]
    places = [urlsplit(url) for url in [*urls, *(f"//{target}" for target in scraped + sent)]]
    return [(place.hostname or "", place.port or 0) for place in places]


def test_programs_connect_where_the_others_listen() -> None:
    for host, port in addresses():
        if host == "host.docker.internal":
            assert "host.docker.internal:host-gateway" in SERVICES["prometheus"]["extra_hosts"]
        else:
            assert port in LISTENS[host], f"nothing listens on {host}:{port}"


def test_configs_listen_on_the_expected_ports() -> None:
    for name in ("jaeger", "collector"):
        endpoints = re.findall(r"(?:endpoint: 0\.0\.0\.0:|port: )(\d+)", (DEPLOY / f"{name}.yaml").read_text())
        assert {int(port) for port in endpoints} >= LISTENS[name]
