"""The stages of a study, one file each; every stage gives what JSON can hold, so that a killed study goes on."""
