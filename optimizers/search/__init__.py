"""The search strategy; the only modules that import Optuna."""
