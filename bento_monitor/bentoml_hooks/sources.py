"""Whether BentoML's functions are still the ones that ours stand for: the hash of their source.

A signature says how a function is called; only its source says what it does. `python -m
bento_monitor.bentoml_hooks.sources` prints the hashes of the BentoML that is installed.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from functools import cache
from importlib import import_module
from typing import Any

# What the fast path does in place of: from the body to the answer, and what is around it in a request.
ANSWERS = {
    "_bentoml_impl.server.app:ContextMiddleware.__call__": "4d965396cb88eacd",
    "_bentoml_impl.server.app:ServiceAppFactory._add_response_headers": "5c3537e5a178f156",
    "_bentoml_impl.server.app:ServiceAppFactory._to_thread": "6177357a1e2d1852",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint": "e7721288fa866de6",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint_wrapper": "18842e99e6086c0f",
    "_bentoml_impl.serde:JSONSerde.deserialize_model": "e2e0b56831e5da0c",
    "_bentoml_impl.serde:JSONSerde.parse_request": "3ea0d77b4084d1be",
    "_bentoml_impl.serde:JSONSerde.serialize_model": "a596013c040eb39c",
    "_bentoml_impl.serde:Payload": "12f2154564cd5119",
    "_bentoml_sdk.io_models:IOMixin.from_http_request": "c059b9cfda27ee1d",
    "_bentoml_sdk.io_models:IOMixin.mime_type": "babaa4832e83deb7",
    "_bentoml_sdk.io_models:IOMixin.to_http_response": "c02e0a159e2f94ca",
    "_bentoml_sdk.io_models:IORootModel": "f642a3ad0cc6d5a3",
    "_bentoml_sdk.io_models:IterableResponse": "57a5cacf9f426ca5",
    "_bentoml_sdk.method:APIMethod._local_call": "72c85cd5fadd8a7c",
    "bentoml._internal.context:ServiceContext": "65d9d272d9a1a633",
    "bentoml._internal.server.http_app:log_exception": "8e37ab2b4433dff1",
    "bentoml._internal.utils.http:set_cookies": "ec97638e7fd9b331",
}
# What asks for a JSON schema, and of it no more than its type and format.
SCHEMA = {
    name: ANSWERS[name] for name in ("_bentoml_sdk.io_models:IOMixin.mime_type", "_bentoml_sdk.io_models:IORootModel")
}
# What our entry does in place of, for every request on either path.
TRAFFIC = {
    "_bentoml_impl.server.app:ServiceAppFactory.middlewares": "bce0377ff45b69be",
    "bentoml._internal.log:TraceRecordFilter": "69a1cd2ebfcbf176",
    "bentoml._internal.log:_component_name": "3a953cc97cc2ef18",
    "bentoml._internal.server.base_app:BaseAppFactory.middlewares": "a9e13313f2deae3f",
    "bentoml._internal.server.http.access:AccessLogMiddleware.__call__": "ca056cf1b06859a9",
    "bentoml._internal.server.http.instruments:RunnerTrafficMetricsMiddleware": "9f02a90731b1fea0",
    "bentoml._internal.server.http.traffic:MaxConcurrencyMiddleware": "7ecd0746c32b85d9",
    "bentoml._internal.server.http.traffic:TimeoutMiddleware": "4dab3e6bdd06efc5",
}
# Where the sessions between services are renewed.
SESSIONS = {
    "_bentoml_impl.client.proxy2:SessionManager": "a76ebebf3a7b067f",
}
# What a call of a dependency goes through, and what gives a service the client of itself.
CLIENT_CALLS = {
    "_bentoml_impl.client.proxy2:AsyncClient.__init__": "cd0aea3b66fe3e08",
    "_bentoml_impl.client.proxy2:AsyncClient._call": "a094ce74dbca1077",
    "_bentoml_impl.server.app:ServiceAppFactory.create_instance": "9038caee5d3eb2d1",
}
# What computes a task.
TASKS = {
    "_bentoml_impl.server.app:ServiceAppFactory._run_task": "42f521f2b0c01dec",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint_wrapper": "18842e99e6086c0f",
}
# What starts and stops the listening of a worker.
CONNECTIONS = {
    "uvicorn.server:Server.startup": "2aa1d70a244bfcf2",
    "uvicorn.server:Server.shutdown": "9b33c50562992b1e",
    "uvicorn.server:ServerState": "f2260fbf10154746",
}
# What sends an answer.
WRITTEN_ANSWERS = {
    "uvicorn.protocols.http.httptools_impl:RequestResponseCycle": "e67d470d435dcc1c",
}
# What a proxy's headers change.
PROXY_HEADERS = {
    "uvicorn.middleware.proxy_headers:ProxyHeadersMiddleware.__call__": "b601df964c02a3bb",
}
# What our application of a legacy service, and of a runner's process, is built with.
LEGACY_SERVICE = {
    "bentoml._internal.server.http_app:HTTPAppFactory._create_api_endpoint": "1100e88476ee9d3c",
    "bentoml._internal.server.http_app:HTTPAppFactory.middlewares": "830d162a8d52e955",
    "bentoml._internal.service.service:Service.asgi_app": "f3a5bbf5f14c16d2",
}
LEGACY_RUNNER = {
    "bentoml._internal.runner.runner:Runner._set_handle": "e307ebd8892f5018",
    "bentoml._internal.runner.runner:RunnerMethod": "456e444df99c623b",
    "bentoml._internal.runner.runner_handle.local:LocalRunnerRef": "c3ee9273cb4542ba",
    "bentoml._internal.runner.runner_handle.remote:RemoteRunnerClient": "85ac3738fea8c168",
}
LEGACY_RUNNER_APP = {
    "bentoml._internal.server.runner_app:RunnerAppFactory": "1884738d95527796",
}


def changed(expected: dict[str, str]) -> list[str]:
    """The names of those whose source is not the expected one; empty where all of them are."""
    return [name for name, known in expected.items() if source_hash(name) != known]


@cache
def source_hash(name: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of the source of `module:qualified.name`."""
    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = inspect.getattr_static(found, part)
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return hashlib.sha256(inspect.getsource(inspect.unwrap(found)).encode()).hexdigest()[:16]


EVERYTHING = (
    ANSWERS
    | TRAFFIC
    | SESSIONS
    | CLIENT_CALLS
    | TASKS
    | CONNECTIONS
    | WRITTEN_ANSWERS
    | PROXY_HEADERS
    | LEGACY_SERVICE
    | LEGACY_RUNNER
    | LEGACY_RUNNER_APP
)

if __name__ == "__main__":
    for each in EVERYTHING:
        sys.stdout.write(f'    "{each}": "{source_hash(each)}",\n')
