"""The process that holds a user's model for the optimizer, so that the user's modules are imported nowhere else."""
