"""The settings of bento-monitor. Only this module and `telemetry_environment` read environment variables.

Other software also sets variables: neither an unknown variable nor an unusable telemetry setting stops a service from
being served. A command refuses an unusable limit, release setting or path; a worker logs it, and uses the default.
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
# Kubernetes sets these in each pod beside a Service whose name is bento-monitor, or starts with bento-monitor-.
_KUBERNETES_NAME = re.compile(_PREFIX + r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")
# Former name -> current name. Former names work until 0.2.
_RENAMED = {"trace_keep": "trace_tail_sampling", "trace_keep_rate_limit": "trace_tail_rate_limit"}
_TELEMETRY_SETTING = re.compile(r"tracing|trace_\w+|user_spans|flush_timeout_s|capture_\w+")


def bentoml_home() -> Path:
    """Return BentoML's home folder: `BENTOML_HOME`, or `bentoml` in the user's home."""
    home = os.environ.get("BENTOML_HOME")
    return Path(home).expanduser() if home else Path.home() / "bentoml"


def _default_home() -> Path:
    return bentoml_home() / "bento_monitor"


def _split(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _split_fields(value: object) -> object:
    names = _split(value)
    for name in names if isinstance(value, str) and isinstance(names, tuple) else ():
        api, dot, field = name.partition(".")
        if not (dot and api.isidentifier() and field.isidentifier()):
            raise ValueError(f"{name!r} is not of the form api.field")
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
    """Settings of bento-monitor, each from the variable `BENTO_MONITOR_<NAME>`.

    Examples:
        >>> MonitorSettings(trace_rate_limit=50).trace_rate_limit
        50.0
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False: the service runs without bento-monitor.")
    fast_path: bool = Field(default=True, description="False: every request takes BentoML's own request path.")
    tracing: bool = Field(
        default=True,
        description="False: requests are not recorded: no traces, and no metrics of bento-monitor.",
    )
    spread_connections: bool = Field(
        default=True, description="False: the first worker to respond accepts a connection, as in BentoML."
    )
    tune_collector: bool = Field(
        default=True, description="False: the settings of Python's garbage collector are left unchanged."
    )
    hooks_off: Annotated[tuple[Literal[Hook, "all"], ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="Hooks into BentoML to disable, separated by commas; all: every hook."
    )
    home: Path = Field(default_factory=_default_home, description="Folder of traces, active states and worker states.")
    trace_store_max_bytes: int = Field(
        default=64 * 2**20, ge=2**20, description="Maximum size of the embedded trace store."
    )
    trace_queue_size: int = Field(
        default=8192, ge=1, description="Maximum number of request records that wait to be built into spans."
    )
    trace_rate_limit: float = Field(
        default=200.0, ge=0, description="Maximum traces per second and worker, whatever callers ask for; 0: no limit."
    )
    trace_rate_burst: int = Field(default=1000, ge=1, description="Traces over that rate that a burst may have.")
    trace_tail_sampling: Annotated[
        tuple[Literal["failed", "slow", "first"], ...], NoDecode, BeforeValidator(_split)
    ] = Field(
        default=("failed", "slow", "first"),
        description="Tail sampling: kinds of unsampled requests to trace, separated by commas; empty: none.",
    )
    trace_slow_ms: float | None = Field(
        default=None, gt=0, description="Duration of a slow request; default: a route's slowest hundredth of requests."
    )
    trace_state: bool = Field(
        default=True, description="False: a caller's tracestate is neither stored on spans nor propagated."
    )
    user_spans: bool = Field(
        default=True, description="False: the service's own spans need a tracer provider that it sets itself."
    )
    trace_tail_rate_limit: float = Field(
        default=10.0, ge=0, description="Maximum traces per second and worker from tail sampling; 0: no limit."
    )
    flush_timeout_s: float = Field(default=1.0, gt=0, description="Time to export queued spans at shutdown.")
    release_poll_interval_s: float = Field(
        default=0.2, gt=0, description="Interval at which a worker looks for a new release."
    )
    release_probation_s: float = Field(
        default=20.0, ge=0, description="Time for which a new release is watched for failures."
    )
    max_body_bytes: int = Field(default=2**30, ge=1, description="A request with a larger body is answered 413.")
    body_idle_timeout_s: float = Field(
        default=30.0, gt=0, description="A request whose body sends no byte for this time is answered 408."
    )
    max_header_count: int = Field(default=1000, ge=1, description="A request with more headers is answered 431.")
    max_header_bytes: int = Field(
        default=2**16, ge=1, description="A request whose headers and URL are larger is answered 431."
    )
    head_timeout_s: float = Field(
        default=30.0, gt=0, description="Time limit for a connection's first request, and for any request's headers."
    )
    max_waiting_connections: int = Field(
        default=4096,
        ge=1,
        description="Maximum connections per worker without a complete request; the oldest is closed.",
    )
    capture_fields: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_fields)] = Field(
        default=(), description="Inputs whose values are put on the server span: api.field, separated by commas."
    )
    capture_redaction: bool = Field(default=True, description="False: values that look like secrets are captured, too.")
    profile_folder: Path | None = Field(
        default=None, description="Folder for a worker's profile notes; set by bento-monitor profile."
    )
    profile_stock: bool = Field(
        default=False, description="True: use BentoML's own request path; set by bento-monitor profile --as stock."
    )


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """A problem with an environment variable.

    With `is_refused`, commands refuse it; else it is only logged. With `is_used`, the variable has a former
    name, and its value is used.
    """

    text: str
    is_refused: bool = False
    is_used: bool = False

    @property
    def warning(self) -> str:
        """The sentence to log."""
        return f"{self.text}." if self.is_used else f"{self.text}: it is ignored."


def read_settings() -> tuple[MonitorSettings, tuple[SettingProblem, ...]]:
    """Read the settings from the environment, with the default for each unusable value, and the problems."""
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
            problems.append(SettingProblem(text, is_refused=_TELEMETRY_SETTING.fullmatch(field) is None))
    return MonitorSettings(**former | defaults), tuple(problems)


_logged: set[str] = set()


def load_settings() -> MonitorSettings:
    """Read the settings for serving; log each problem once per process."""
    settings, problems = read_settings()
    for problem in problems:
        if problem.text not in _logged:
            _logged.add(problem.text)
            _LOGGER.warning("%s", problem.warning)
    return settings


def require_settings() -> MonitorSettings:
    """Read the settings for a command.

    Raises:
        InputError: the value of a limit, release setting or path is unusable.
    """
    refused = [problem.text for problem in read_settings()[1] if problem.is_refused]
    if refused:
        raise InputError(f"{'; '.join(refused)}: change it, or unset it.")
    return load_settings()


def _former_names() -> tuple[dict[str, Any], list[SettingProblem]]:
    """Return the values set by a former name and not by the current one, and a problem for each former name."""
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
    of_kubernetes = [name for name in unknown if _KUBERNETES_NAME.fullmatch(name)]
    found = []
    if of_kubernetes:
        names = of_kubernetes[0] if len(of_kubernetes) == 1 else f"{of_kubernetes[0]} and {len(of_kubernetes) - 1} more"
        found.append(SettingProblem(f"{names}, set by Kubernetes for a Service, is not a bento-monitor setting"))
    for name in unknown:
        if name not in of_kubernetes:
            near = difflib.get_close_matches(
                name[len(_PREFIX) :].lower(), MonitorSettings.model_fields, n=1, cutoff=0.7
            )
            nearest = f" (the nearest is {_variable(near[0])})" if near else ""
            found.append(SettingProblem(f"{name} is not a bento-monitor setting{nearest}"))
    return found


def _variable(field: str) -> str:
    return (_PREFIX + field).upper()
