"""What touches BentoML's private parts, for the services of today."""
