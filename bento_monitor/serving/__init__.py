"""What `bento-monitor serve` runs: the launcher, its workers, and the ports and paths that they serve on."""

from .ports import check_port, free_port

__all__ = ["check_port", "free_port"]
