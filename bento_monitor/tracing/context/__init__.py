"""Whose trace a request belongs to, and how that goes on in what it calls."""
