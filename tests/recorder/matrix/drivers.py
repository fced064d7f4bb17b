"""The same steps with botocore and with aiobotocore: a coroutine that never waits is a function."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from botocore.config import Config

T = TypeVar("T")
REGION = "eu-west-1"


class Driver:
    """botocore. `options` are given to every client of the application."""

    def __init__(self) -> None:
        self.made: Any = None
        self.profile: str | None = None

    def session(self) -> Any:
        import botocore.session

        from tests.recorder.support import _LOADER

        if self.made is None:
            self.made = botocore.session.Session(profile=self.profile)
            self.made.register_component("data_loader", _LOADER)
        return self.made

    async def frozen(self) -> tuple[str, str, str]:
        """Return the keys of a session's credentials, as an application takes them out."""
        keys = await self.done((await self.done(self.session().get_credentials())).get_frozen_credentials())
        return keys.access_key, keys.secret_key, keys.token

    @asynccontextmanager
    async def client(self, service: str, own: Config | None = None, /, **options: Any) -> AsyncIterator[Any]:
        """Give a client of `service`; configurations are merged."""
        base = Config(s3={"addressing_style": "path"}).merge(options.pop("config", None) or Config())
        made = self.session().create_client(
            service, region_name=REGION, config=base.merge(own) if own else base, **options
        )
        if hasattr(made, "__aenter__"):
            async with made as client:
                yield client
        else:
            yield made
            made.close()

    async def done(self, value: Any) -> Any:
        return await value if inspect.isawaitable(value) else value

    async def all(self, values: Any) -> list[Any]:
        if hasattr(values, "__aiter__"):
            return [value async for value in values]
        return list(values)

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        try:
            steps.send(None)
        except StopIteration as end:
            result: T = end.value
            return result
        raise RuntimeError("a step waited")


class AsyncDriver(Driver):
    """aiobotocore."""

    def session(self) -> Any:
        from aiobotocore.session import AioSession

        from tests.recorder.support import _LOADER

        if self.made is None:
            self.made = AioSession(profile=self.profile)
            self.made.register_component("data_loader", _LOADER)
        return self.made

    def run(self, steps: Coroutine[Any, Any, T]) -> T:
        import asyncio

        return asyncio.run(steps)
