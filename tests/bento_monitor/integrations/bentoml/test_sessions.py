"""Sessions between services: renewed when BentoML says so, closed once no request is in flight."""

from __future__ import annotations

import asyncio
from typing import Any

from bento_monitor.integrations.bentoml.sessions import _keeping


class Connector:
    """The attributes of an aiohttp connector that show its requests."""

    def __init__(self) -> None:
        self.closed = False
        self._acquired: set[object] = set()
        self._waiters: dict[object, object] = {}


class Session:
    """A session that can be closed."""

    def __init__(self) -> None:
        self.connector = Connector()

    async def close(self) -> None:
        self.connector.closed = True


class Manager:
    """BentoML's session manager, reduced to the methods that ours uses: a session for every call."""

    def __init__(self) -> None:
        self._session: Any = None
        self._request_count = 0

    def _should_refresh(self) -> bool:
        return True

    def _make_client(self) -> Session:
        return Session()

    async def close(self) -> None:
        await self._session.close()


def test_retired_session_is_closed_after_its_last_call() -> None:
    async def scenario() -> None:
        manager = _keeping(Manager)()
        busy = await manager.get_session()
        busy.connector._acquired.add("call")
        idle = await manager.get_session()
        await manager.get_session()
        while not idle.connector.closed:
            await asyncio.sleep(0)
        assert manager.retired_sessions == [busy]
        assert not busy.connector.closed
        busy.connector._acquired.clear()
        await manager.closing
        assert busy.connector.closed
        assert manager.closing is None

    asyncio.run(scenario())


def test_close_also_closes_retired_sessions() -> None:
    async def scenario() -> None:
        manager = _keeping(Manager)()
        busy = await manager.get_session()
        busy.connector._acquired.add("call")
        last = await manager.get_session()
        await manager.close()
        assert busy.connector.closed
        assert last.connector.closed

    asyncio.run(scenario())
