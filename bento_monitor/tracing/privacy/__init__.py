"""What may leave the process, and what of it is redacted."""
