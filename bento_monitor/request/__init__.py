"""What is around every request: its entry, its limits, its threads, its records; whatever path it takes."""
