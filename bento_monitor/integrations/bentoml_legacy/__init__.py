"""What touches BentoML's private parts, for what it had before 1.2."""
