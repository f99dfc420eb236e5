"""Profile of a service from idle to overload: first its capacity, then its latency at shares of the capacity."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...errors import InputError
from ...installation import STACK, read_versions
from ...machine import read_machine
from ...worker.probe import CENSUS
from ..loadgen import LoadSpec, run_load
from ..loadgen.slo import Slo
from ..loadgen.slo_search import find_rate_below
from ..server.server_spec import ServedAs
from .load_point import measure_point
from .probe_notes import read_notes
from .profile_record import LoadPoint, Profile
from .sample_body import find_api, read_bodies, sample_body
from .standalone import measure_standalone
from .subject import ProfiledService, serve_subject

# Shares of the capacity; above 1 the queue grows for as long as the load lasts.
_SHARES = (0.25, 0.5, 0.75, 0.9, 1.1)
_WARM_UP_S = 3.0
_CENSUS_TIMEOUT_S = 10.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """Target, loads and duration of a profile.

    Args:
        target: `module:Service`, `file.py:Service`, or a URL.
        served_as: "stock" for BentoML's own request path, "monitored" for the monitor's.
        api: name of the API; None if the service has only one.
        data: a file of JSON bodies, one per line; None generates a body from the API's schema.
        workers: number of worker processes; None for the service's own number.
        connections: concurrent clients in the load that finds the capacity.
        seconds: duration of each load.
        shares: rates of the open loads, as shares of the capacity.
        slo: find the highest rate that meets this SLO.
    """

    target: str
    served_as: ServedAs = "monitored"
    api: str | None = None
    data: Path | None = None
    workers: int | None = None
    connections: int = 16
    seconds: float = 8.0
    shares: tuple[float, ...] = _SHARES
    slo: Slo | None = None

    @property
    def steps(self) -> int:
        """Number of steps: the start, the warm-up, each load, and the standalone function."""
        return 5 + len(self.shares) + (self.slo is not None)


def run_sweep(spec: SweepSpec, on_step: Callable[[str], None]) -> Profile:
    """Profile a service.

    Args:
        spec: target, loads and duration.
        on_step: called before each step with a description of the step.

    Raises:
        InputError: the target, the API or the data are invalid.
        ServerError: the service could not be served.
        MeasurementError: a load could not be generated, or no request was answered with 2xx.
    """
    bodies = None if spec.data is None else read_bodies(spec.data)
    on_step("serve")
    with serve_subject(spec.target, spec.served_as, spec.workers) as subject:
        api = find_api(subject.description(), spec.api)
        bodies = bodies or (sample_body(api),)
        _try_once(subject, api.route, bodies[0])
        load = LoadSpec(
            port=subject.port,
            host=subject.host,
            path=api.route,
            bodies=bodies,
            mode="closed",
            connections=spec.connections,
            duration_s=spec.seconds,
        )
        on_step("warm up")
        run_load(_closed(load, spec.connections, _WARM_UP_S))
        points = _measure_points(subject, load, spec, on_step)
        census, watching_us = _census(subject), _watching_us(subject)
        slo = None
        if spec.slo is not None:
            on_step(f"highest rate that meets {spec.slo}")
            slo = find_rate_below(spec.slo, load, _capacity_rps(points))
        workers = len(subject.workers()) or 1
        target = subject.target
    on_step("standalone function")
    standalone = None if target is None else measure_standalone(target, api.route, bodies, spec.seconds)
    return Profile(
        target=spec.target,
        served_as=spec.served_as if subject.server is not None else "as it runs",
        path=api.route,
        workers=workers,
        points=tuple(points),
        slo=slo,
        standalone=standalone,
        census=census,
        watching_us=watching_us,
        findings=(),
        machine=asdict(read_machine()),
        versions=read_versions(STACK),
    )


def _measure_points(
    subject: ProfiledService, load: LoadSpec, spec: SweepSpec, on_step: Callable[[str], None]
) -> list[LoadPoint]:
    on_step("1 client")
    points = [measure_point(subject, _closed(load, 1, spec.seconds))]
    on_step(f"{spec.connections} clients")
    points.append(measure_point(subject, load))
    capacity_rps = _capacity_rps(points)
    for number, share in enumerate(spec.shares):
        on_step(f"{share:.0%} of {capacity_rps:.0f} requests/s")
        points.append(measure_point(subject, _open(load, capacity_rps * share, number), share))
    return points


def _capacity_rps(points: Sequence[LoadPoint]) -> float:
    return max(point.throughput_rps for point in points)


def _closed(load: LoadSpec, connections: int, seconds: float) -> LoadSpec:
    return replace(load, connections=connections, duration_s=seconds)


def _open(load: LoadSpec, rate_rps: float, seed: int) -> LoadSpec:
    return replace(load, mode="open", rate_rps=rate_rps, seed=seed)


def _try_once(subject: ProfiledService, route: str, body: bytes) -> None:
    """Send one request, so that a body that the service refuses ends the profile at once.

    Raises:
        InputError: the service does not answer the request with 2xx.
        MeasurementError: the service does not answer.
    """
    status, answer = subject.ask("POST", route, body)
    if status // 100 != 2:
        text = answer[:300].decode(errors="replace")
        raise InputError(
            f"{route} answers {status} to {body[:200].decode(errors='replace')}: {text}. "
            "Give valid bodies with --data FILE, one JSON body per line."
        )


def _census(subject: ProfiledService) -> Mapping[str, int]:
    """Return the counts of the most common object types, of the worker with the most objects, right after the load."""
    if subject.probes is None:
        return {}
    (subject.probes / CENSUS).touch()
    deadline_s = time.monotonic() + _CENSUS_TIMEOUT_S
    while time.monotonic() < deadline_s:
        found = [notes.census for notes in read_notes(subject.probes).values() if notes.census]
        if len(found) >= len(subject.workers()):
            return max(found, key=lambda census: sum(census.values()), default={})
        time.sleep(_POLL_S)
    return {}


def _watching_us(subject: ProfiledService) -> float | None:
    """Return the probe's overhead per request in us, of the worker with the highest overhead."""
    notes = {} if subject.probes is None else read_notes(subject.probes)
    return max((each.cost_us for each in notes.values()), default=None)
