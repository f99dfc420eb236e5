"""The embedded trace store, and readers for it and for Jaeger."""
