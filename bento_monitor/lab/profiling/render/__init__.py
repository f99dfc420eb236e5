"""A profile as a page and as sentences."""
