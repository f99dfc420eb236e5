"""Containment of faults: circuit breaker, atomic files, process liveness, rate-limited log, terminal-safe text."""
