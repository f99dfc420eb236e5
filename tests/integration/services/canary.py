"""A service that puts the client's text into its input, output and failures."""

import bentoml

from bento_monitor import monitored


@monitored
@bentoml.service
class Canary:
    @bentoml.api
    def echo(self, text: str) -> str:
        return text

    @bentoml.api
    def fails(self, text: str) -> str:
        raise ValueError(text)

    @bentoml.api(batchable=True)
    def batched(self, texts: list[str]) -> list[str]:
        return texts

    @bentoml.api(batchable=True)
    def batch_fails(self, texts: list[str]) -> list[str]:
        raise ValueError(texts[0])
