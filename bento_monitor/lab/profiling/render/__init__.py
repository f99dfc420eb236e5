"""A profile as an HTML page and as sentences."""
