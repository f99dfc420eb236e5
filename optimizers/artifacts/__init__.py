"""Building the files that a model is run from: exported, quantised, checked, and cached by what they are made of."""
