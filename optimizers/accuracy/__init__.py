"""The accuracy of a model's answers on the user's data, and how much accuracy a candidate loses."""
