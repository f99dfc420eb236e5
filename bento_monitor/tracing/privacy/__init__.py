"""Which values may leave the process, and the redaction of captured input."""
