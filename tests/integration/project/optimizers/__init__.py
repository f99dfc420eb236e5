"""The user's own package of this name: nothing of ours may hide it, and it may hide nothing of ours."""

SEED = 7
