"""The refusal of a request that would be batched too late."""

from __future__ import annotations

import logging

from bentoml.exceptions import ServiceUnavailable

from ...resilience.rate_limited_log import RateLimitedLog


class Overloaded(ServiceUnavailable):
    """BentoML's own refusal, in a class of ours so that it is not logged with a traceback each time.

    Writing a traceback takes a millisecond, in which an overloaded service could answer a request.
    """

    def __init__(self) -> None:
        super().__init__("process is overloaded")


refusals = RateLimitedLog(
    logging.getLogger("bentoml.bento_monitor"), "Overloaded: %d requests refused, the last to %s", 1.0
)
