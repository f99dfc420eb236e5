"""Parts of `bento-monitor serve`: the launcher, ports, and the paths of APIs."""

from .ports import check_port, free_port

__all__ = ["check_port", "free_port"]
