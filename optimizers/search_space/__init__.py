"""The search space, one file per group of parameters; rules exclude unsuitable values before any measurement."""
