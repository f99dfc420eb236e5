"""Warning if spans leave this machine unencrypted."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ...telemetry_environment import TelemetryEnvironment

# gRPC's target names: https://github.com/grpc/grpc/blob/master/doc/naming.md
_LOCAL = re.compile(r"(unix|unix-abstract|vsock):")
_RESOLVED = re.compile(r"(dns:(//[^/]*/)?|ipv[46]:)")


def plain_text_warning(environment: TelemetryEnvironment) -> str | None:
    """Return a warning if spans are sent by OTLP in plain text to another host; None otherwise."""
    if not environment.sends_otlp or not environment.is_otlp_insecure:
        return None
    host = _other_host(environment.otlp_endpoint)
    if host is None:
        return None
    return (
        f"Spans go to {host} by OTLP in plain text, with the headers of OTEL_EXPORTER_OTLP_HEADERS: anyone on the "
        "network can read both. Set OTEL_EXPORTER_OTLP_ENDPOINT to an https:// address."
    )


def _other_host(endpoint: str) -> str | None:
    """Return the host of an endpoint; None if it is this machine, or if the endpoint names no host."""
    if _LOCAL.match(endpoint):
        return None
    name = _RESOLVED.sub("", endpoint, count=1)
    try:
        host = urlsplit(name if "://" in name else f"//{name}").hostname
    except ValueError:  # the exporter cannot use this endpoint either
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
