"""Tests that say nothing where others take the processors, and are left out there."""

BUSY = "others take the processors"
"""What the reason of such a skip begins with."""
