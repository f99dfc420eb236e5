"""Which requests are exported."""
