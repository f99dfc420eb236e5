"""What keeps a fault small: circuit breaker, whole files, rate-limited log lines, safe terminal output."""
