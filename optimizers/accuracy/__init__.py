"""What a model's answers are worth on the user's data, and how much of it a candidate loses."""
