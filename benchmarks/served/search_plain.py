"""The semantic-search example without monitoring."""

from served.search_noted import load_example

SemanticSearch = load_example("service_plain")
