"""What can be varied, one file a knob family; rules cut it by facts before anything is measured."""
