"""A batchable API whose answers say which requests its batch was noted for."""

from __future__ import annotations

import bentoml

from bento_monitor import monitored, request_trace_ids


@monitored
@bentoml.service
class OwnDispatcher:
    @bentoml.api(batchable=True, max_batch_size=4)
    def ids(self, rows: list[int]) -> list[str]:
        return [" ".join(map(str, request_trace_ids())) or "none"] * len(rows)
