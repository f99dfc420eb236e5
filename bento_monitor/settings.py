"""What a person can set of the monitor. Beside it only `telemetry_environment` reads environment variables.

A service is a guest where others set variables too: none that is unknown, and none of telemetry's, keeps it from being
served. A command refuses what decides of limits, releases and paths; a worker says it, and takes the default.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .errors import InputError

_PREFIX = "BENTO_MONITOR_"
_LOGGER = logging.getLogger("bento_monitor")
# Kubernetes puts these into every pod beside a Service that is named bento-monitor, or bento-monitor-and-more.
_OF_KUBERNETES = re.compile(_PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
# Former name -> name. The former one works until 0.2.
_RENAMED = {"trace_keep": "trace_tail_sampling", "trace_keep_rate_limit": "trace_tail_rate_limit"}
_OF_TELEMETRY = re.compile(r"tracing|trace_\w+|user_spans|flush_timeout_s|capture_\w+")


def bentoml_home() -> Path:
    """Where BentoML keeps its models: `BENTOML_HOME`, or `bentoml` in the user's home."""
    named = os.environ.get("BENTOML_HOME")
    return Path(named).expanduser() if named else Path.home() / "bentoml"


def _default_home() -> Path:
    return bentoml_home() / "bento_monitor"


def _split(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _split_fields(value: object) -> object:
    names = _split(value)
    for name in names if isinstance(value, str) and isinstance(names, tuple) else ():
        api, dot, field = name.partition(".")
        if not (dot and api.isidentifier() and field.isidentifier()):
            raise ValueError(f"{name!r} is no api.field")
    return names


Hook = Literal[
    "answers",
    "client_calls",
    "connections",
    "dispatcher",
    "head_limits",
    "io_stamps",
    "joined_writes",
    "legacy_runner",
    "legacy_runner_app",
    "legacy_service",
    "read_stamp",
    "request_id",
    "schema",
    "service_app",
    "sessions",
    "tasks",
    "threads",
    "traffic",
]
ALL_HOOKS = "all"


class MonitorSettings(BaseSettings):
    """Settings of the monitor, each from `BENTO_MONITOR_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False: the service runs as if it were not wrapped.")
    fast_path: bool = Field(default=True, description="False: every request takes BentoML's own path.")
    tracing: bool = Field(
        default=True,
        description="False: nothing is recorded of a request: no traces, no metrics of ours.",
    )
    spread_connections: bool = Field(
        default=True, description="False: whichever worker is first accepts a connection, as in BentoML."
    )
    tune_collector: bool = Field(
        default=True, description="False: Python's garbage collector is left as the service has it."
    )
    hooks_off: Annotated[tuple[Literal[Hook, "all"], ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="Hooks into BentoML to disable, separated by commas; all: every hook."
    )
    home: Path = Field(
        default_factory=_default_home, description="Where traces, active states and worker states are kept."
    )
    trace_store_max_bytes: int = Field(default=64 * 2**20, ge=2**20, description="Size of the embedded trace store.")
    trace_queue_size: int = Field(default=8192, ge=1, description="Ledgers that may wait to be built into spans.")
    trace_rate_limit: float = Field(
        default=200.0, ge=0, description="Traces a second of a worker, whatever callers ask for; 0 is no limit."
    )
    trace_rate_burst: int = Field(default=1000, ge=1, description="Traces at once after a quiet time, over that rate.")
    trace_tail_sampling: Annotated[
        tuple[Literal["failed", "slow", "first"], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=("failed", "slow", "first"),
        description="Requests that are traced though they were not sampled, separated by commas; empty: none.",
    )
    trace_slow_ms: float | None = Field(
        default=None, gt=0, description="What is slow; without it, the slowest hundredth of a route's requests."
    )
    trace_state: bool = Field(
        default=True, description="False: a caller's tracestate is neither kept on spans nor passed on."
    )
    user_spans: bool = Field(
        default=True, description="False: spans of the service's own code need a tracer provider that it sets itself."
    )
    trace_tail_rate_limit: float = Field(
        default=10.0, ge=0, description="Traces a second of a worker that are kept so; 0 is no limit."
    )
    flush_timeout_s: float = Field(default=1.0, gt=0, description="Time to hand over what is queued at shutdown.")
    release_poll_interval_s: float = Field(default=0.2, gt=0, description="How often a worker looks for a new release.")
    release_probation_s: float = Field(
        default=20.0, ge=0, description="Time that a new release is watched for failures."
    )
    max_body_bytes: int = Field(default=2**30, ge=1, description="A request with a larger body is answered 413.")
    body_idle_timeout_s: float = Field(
        default=30.0, gt=0, description="Time without a byte of a request's body; it is then answered 408."
    )
    max_header_count: int = Field(default=1000, ge=1, description="A request with more headers is answered 431.")
    max_header_bytes: int = Field(
        default=2**16, ge=1, description="A request whose headers and URL are larger is answered 431."
    )
    head_timeout_s: float = Field(
        default=30.0, gt=0, description="Time for a connection's first request, and for the headers of any, to come."
    )
    max_waiting_connections: int = Field(
        default=4096, ge=1, description="Connections of a worker without a whole request yet; the oldest is closed."
    )
    capture_fields: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_fields)] = Field(
        default=(), description="Inputs whose values go onto the server span: api.field, separated by commas."
    )
    capture_redaction: bool = Field(
        default=True, description="False: what looks like a secret is not left out of what is captured."
    )
    profile_folder: Path | None = Field(
        default=None, description="Where a worker notes collections and lags; set by bento-monitor profile."
    )
    profile_stock: bool = Field(
        default=False, description="True: BentoML's own request path, for bento-monitor profile --as stock."
    )


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """What is wrong with a variable; `is_refused` by commands, or only logged. One that `is_used` has a former name."""

    text: str
    is_refused: bool = False
    is_used: bool = False

    @property
    def warning(self) -> str:
        """The sentence to log."""
        return f"{self.text}." if self.is_used else f"{self.text}: it is ignored."


def read_settings() -> tuple[MonitorSettings, tuple[SettingProblem, ...]]:
    """The settings of the environment, the default where a value cannot be used, and what is wrong with it."""
    former, problems = _former_names()
    problems += _unknown_names()
    defaults: dict[str, Any] = {}
    try:
        return MonitorSettings(**former), tuple(problems)
    except ValidationError as error:
        for item in error.errors():
            field = str(item["loc"][0]).lower()
            defaults[field] = MonitorSettings.model_fields[field].get_default(call_default_factory=True)
            text = f"{_variable(field)}={item['input']!r} cannot be used ({item['msg']})"
            problems.append(SettingProblem(text, is_refused=_OF_TELEMETRY.fullmatch(field) is None))
    return MonitorSettings(**former | defaults), tuple(problems)


_said: set[str] = set()


def load_settings() -> MonitorSettings:
    """The settings of the environment, for what serves: what is wrong with them is logged, once a process."""
    settings, problems = read_settings()
    for problem in problems:
        if problem.text not in _said:
            _said.add(problem.text)
            _LOGGER.warning("%s", problem.warning)
    return settings


def require_settings() -> MonitorSettings:
    """The settings of the environment, for a command.

    Raises:
        InputError: a value that decides of limits, releases or paths cannot be used.
    """
    refused = [problem.text for problem in read_settings()[1] if problem.is_refused]
    if refused:
        raise InputError(f"{'; '.join(refused)}: change it, or unset it.")
    return load_settings()


def _former_names() -> tuple[dict[str, Any], list[SettingProblem]]:
    """What variables with a former name set, where the one with the new name is not set, and a warning of each."""
    given = {name.upper(): value for name, value in os.environ.items()}
    values: dict[str, Any] = {}
    problems = []
    for former, field in _RENAMED.items():
        old, new = _variable(former), _variable(field)
        if old in given:
            is_used = new not in given
            if is_used:
                values[field] = given[old]
            problems.append(SettingProblem(f"{old} has been renamed to {new}", is_used=is_used))
    return values, problems


def _unknown_names() -> list[SettingProblem]:
    known = {_variable(field) for field in [*MonitorSettings.model_fields, *_RENAMED]}
    unknown = sorted(name for name in os.environ if name.upper().startswith(_PREFIX) and name.upper() not in known)
    of_kubernetes = [name for name in unknown if _OF_KUBERNETES.fullmatch(name)]
    found = []
    if of_kubernetes:
        names = of_kubernetes[0] if len(of_kubernetes) == 1 else f"{of_kubernetes[0]} and {len(of_kubernetes) - 1} more"
        found.append(SettingProblem(f"{names}, of a Service of Kubernetes, is no setting of the monitor"))
    for name in unknown:
        if name not in of_kubernetes:
            near = difflib.get_close_matches(
                name[len(_PREFIX) :].lower(), MonitorSettings.model_fields, n=1, cutoff=0.7
            )
            meant = f" (the nearest is {_variable(near[0])})" if near else ""
            found.append(SettingProblem(f"{name} is no setting of the monitor{meant}"))
    return found


def _variable(field: str) -> str:
    return (_PREFIX + field).upper()
