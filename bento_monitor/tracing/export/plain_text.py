"""Whether spans leave this machine in plain text."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ...telemetry_environment import TelemetryEnvironment

# Names of gRPC's own: https://github.com/grpc/grpc/blob/master/doc/naming.md
_LOCAL = re.compile(r"(unix|unix-abstract|vsock):")
_RESOLVED = re.compile(r"(dns:(//[^/]*/)?|ipv[46]:)")


def plain_text_warning(environment: TelemetryEnvironment) -> str | None:
    """What to say where spans go by OTLP in plain text to another host; None where they do not."""
    if not environment.sends_otlp or not environment.is_otlp_insecure:
        return None
    host = _other_host(environment.otlp_endpoint)
    if host is None:
        return None
    return (
        f"Spans go to {host} by OTLP in plain text, and with them what OTEL_EXPORTER_OTLP_HEADERS holds: anyone in "
        "between can read them. Give OTEL_EXPORTER_OTLP_ENDPOINT an https:// address."
    )


def _other_host(endpoint: str) -> str | None:
    """The host that an endpoint names; None where it is this one, or where it names none."""
    if _LOCAL.match(endpoint):
        return None
    name = _RESOLVED.sub("", endpoint, count=1)
    try:
        host = urlsplit(name if "://" in name else f"//{name}").hostname
    except ValueError:  # the exporter cannot use it, either
        return None
    return None if not host or _is_loopback(host) else host


def _is_loopback(host: str) -> bool:
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
