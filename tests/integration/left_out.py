"""Tests that are meaningless while other processes use the CPU, and are left out then."""

BUSY = "other processes use the CPU"
"""The beginning of the reason for such a skip."""
