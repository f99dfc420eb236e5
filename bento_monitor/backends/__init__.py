"""How a model is executed: `own` as the user has it, `torch` and `onnxruntime` as a release says."""
