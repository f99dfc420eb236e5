"""Builds spans from finished ledgers and exports them; every lost span is counted."""
