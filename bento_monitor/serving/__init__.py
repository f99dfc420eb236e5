"""Starting a real BentoML server, as it is or monitored."""

from .ports import check_port, free_port
from .process import ServerProcess, start_server
from .spec import ServerSpec, make_private_home

__all__ = ["ServerProcess", "ServerSpec", "check_port", "free_port", "make_private_home", "start_server"]
