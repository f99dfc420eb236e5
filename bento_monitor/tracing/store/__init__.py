"""The embedded trace store, and reading traces from it and from Jaeger."""
