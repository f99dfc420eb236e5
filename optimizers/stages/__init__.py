"""The stages of a study; each returns JSON values, which are stored so that a killed study can be resumed."""
