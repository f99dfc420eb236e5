"""The user's package of the same name as ours: neither may hide the other."""

SEED = 7
