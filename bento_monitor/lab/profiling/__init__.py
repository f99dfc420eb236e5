"""How fast a service is, from idle to past the knee, where the time goes, and what holds it back."""
