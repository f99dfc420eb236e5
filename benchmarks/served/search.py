"""The semantic-search example with its model in a MonitoredRunner."""

from served.search_noted import load_example

SemanticSearch = load_example("service")
