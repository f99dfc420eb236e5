"""Starting a real BentoML server as a child process, unchanged or monitored."""

from .process import ServerProcess, start_server
from .server_spec import ServerSpec, make_private_home

__all__ = ["ServerProcess", "ServerSpec", "make_private_home", "start_server"]
