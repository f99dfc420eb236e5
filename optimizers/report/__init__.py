"""The terminal output of a study: progress while it runs, a table at its end."""
