"""The hooks into BentoML's private parts, for legacy services and runners (before BentoML 1.2)."""
