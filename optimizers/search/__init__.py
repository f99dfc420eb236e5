"""The search strategy; no modules outside this package import Optuna."""
