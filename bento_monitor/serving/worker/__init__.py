"""The worker processes of a monitored server: BentoML's own scripts, in which what is loaded is monitored."""
