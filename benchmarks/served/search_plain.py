"""The semantic-search example as it is before it is monitored."""

from served.search_noted import load_example

SemanticSearch = load_example("service_plain")
