"""What a person sees of a study: progress while it works, a table at its end."""
