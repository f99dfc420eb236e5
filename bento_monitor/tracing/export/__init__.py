"""From finished ledgers to spans, and from spans to where they go; every loss is counted."""
