"""The parts of a worker process that live as long as the process."""
