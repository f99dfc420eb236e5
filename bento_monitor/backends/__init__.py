"""How a model is executed: the user's own model by `own`, a release by `torch` or `onnxruntime`."""
