"""Ports to serve on."""

from __future__ import annotations

import random
import socket
from collections import deque

from ..errors import InputError, ServerError

# Below the kernel's range for outgoing connections: one of these could take the port before the server binds it.
_FIRST_PORT, _LAST_PORT = 15_000, 32_000
_ATTEMPTS = 200
_given: deque[int] = deque(maxlen=1_000)  # a server binds its port later: the next one must not be given the same


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now, and that no recent call in this process has returned.

    Raises:
        ServerError: no free port was found.
    """
    choose = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = choose.randint(_FIRST_PORT, _LAST_PORT)
        if port not in _given and _problem_of(host, port) is None:
            _given.append(port)
            return port
    raise ServerError(f"No free port was found on {host} between {_FIRST_PORT} and {_LAST_PORT}.")


def check_port(host: str, port: int) -> None:
    """Check that a server can listen on a port.

    Raises:
        InputError: the port is in use, or the address does not belong to this machine.
    """
    problem = _problem_of(host, port)
    if problem is not None:
        raise InputError(f"{host}:{port} cannot be listened on ({problem}): choose another port.")


def _problem_of(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror
    return None
