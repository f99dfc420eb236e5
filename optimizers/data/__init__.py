"""The user's data: requests as a client would send them, each with its label."""
