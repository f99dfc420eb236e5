"""What a worker process holds for as long as it runs."""
