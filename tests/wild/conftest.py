from __future__ import annotations

from collections.abc import Iterator

import pytest

from bento_monitor.tracing.ledger.ledger import BatchRecord, current_batch


@pytest.fixture
def traced() -> Iterator[BatchRecord]:
    """What is noted of the calls that are made meanwhile."""
    batch = BatchRecord("predict", (), 1, 1)
    token = current_batch.set(batch)
    yield batch
    current_batch.reset(token)
