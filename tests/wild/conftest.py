from __future__ import annotations

from collections.abc import Iterator

import pytest

from bento_monitor.tracing.ledger.ledger import BatchRecord, current_batch


@pytest.fixture
def traced() -> Iterator[BatchRecord]:
    """The record of model calls made during the test."""
    batch = BatchRecord("predict", (), 1, 1)
    token = current_batch.set(batch)
    yield batch
    current_batch.reset(token)
