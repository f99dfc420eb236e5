"""What measures from outside. Nothing of it runs in a worker, and nothing that does imports it."""
