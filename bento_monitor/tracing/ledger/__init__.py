"""One small record a request, and the stages that follow from its stamps."""
