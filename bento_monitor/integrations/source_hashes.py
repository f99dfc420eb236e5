"""Hashes of the BentoML functions that our code replaces, to notice that a function has changed.

A signature says how a function is called; only its source says what it does. The hash leaves out comments and
docstrings. A function that differs between the supported versions has one hash for each version.
`python -m bento_monitor.integrations.source_hashes` prints the hashes of the installed BentoML.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import sys
import textwrap
import tokenize
from functools import cache
from importlib import import_module
from typing import Any

# Replaced by the fast path: the way from the body to the answer, and what surrounds it in a request.
ANSWERS = {
    "_bentoml_impl.server.app:ContextMiddleware.__call__": "9fd7bfbb112a357e",
    "_bentoml_impl.server.app:ServiceAppFactory._add_response_headers": "2daa125f1e36915e",
    "_bentoml_impl.server.app:ServiceAppFactory._to_thread": "4fca0f79a4d069c9",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint": "f6cd4795482dc67d",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint_wrapper": "904ebc5c65afaa61",
    "_bentoml_impl.serde:JSONSerde.deserialize_model": "c083e400caf6e261",
    "_bentoml_impl.serde:JSONSerde.parse_request": "ca12fb89f0c81191",
    "_bentoml_impl.serde:JSONSerde.serialize_model": "8a596e0988329c5a",
    "_bentoml_impl.serde:Payload": "01de24b250a3c45f",
    "_bentoml_sdk.io_models:IOMixin.from_http_request": "258d3e177e78b002",
    "_bentoml_sdk.io_models:IOMixin.mime_type": "4472dd45aa6d59b2",
    "_bentoml_sdk.io_models:IOMixin.to_http_response": "f58539d47976591d",
    "_bentoml_sdk.io_models:IORootModel": "f1457dfb34f4918c",
    "_bentoml_sdk.io_models:IterableResponse": "5cfaa27341b8e288",
    "_bentoml_sdk.method:APIMethod._local_call": "31851b97bb583254",
    "bentoml._internal.context:ServiceContext": "e9ca85e1758e760a",
    "bentoml._internal.server.http_app:log_exception": "2a5e73797518fdb3",
    "bentoml._internal.utils.http:set_cookies": "8dd7829e4b17b586",
}
# Reads a JSON schema, but only its type and format.
SCHEMA = {
    name: ANSWERS[name] for name in ("_bentoml_sdk.io_models:IOMixin.mime_type", "_bentoml_sdk.io_models:IORootModel")
}
# Replaced by our entry, for every request on either path.
TRAFFIC = {
    "_bentoml_impl.server.app:ServiceAppFactory.middlewares": "b644d158136940d8",
    "bentoml._internal.log:TraceRecordFilter": "4f0314aae48ab68b",
    "bentoml._internal.log:_component_name": "698bd79c965799fd",
    "bentoml._internal.server.base_app:BaseAppFactory.middlewares": "3a151f6b48be083a",
    "bentoml._internal.server.http.access:AccessLogMiddleware.__call__": "cda305173874870a",
    "bentoml._internal.server.http.instruments:RunnerTrafficMetricsMiddleware": "8c9d99eaac6ad334",
    "bentoml._internal.server.http.traffic:MaxConcurrencyMiddleware": "10cd1af30a3002b9",
    "bentoml._internal.server.http.traffic:TimeoutMiddleware": "aabb801400db45cf",
}
# Renews the sessions between services.
SESSIONS = {
    "_bentoml_impl.client.proxy2:SessionManager": "cb54b4dac0ae82e6",
}
# The path of a call to a dependency, and the code that gives a service a client of itself. The second hash is that of
# BentoML 1.4.30, which renews no sessions.
CLIENT_CALLS = {
    "_bentoml_impl.client.proxy2:AsyncClient.__init__": "696c62c309de6722 74aba1a1adee5fea",
    "_bentoml_impl.client.proxy2:AsyncClient._call": "d1c4b5fc2284987e 085f63cd0b0d4640",
    "_bentoml_impl.server.app:ServiceAppFactory.create_instance": "d4ea10e44c2f57fe",
}
# Runs a task.
TASKS = {
    "_bentoml_impl.server.app:ServiceAppFactory._run_task": "0af58323d37750fb",
    "_bentoml_impl.server.app:ServiceAppFactory.api_endpoint_wrapper": "904ebc5c65afaa61",
}
# Starts and stops a worker's listening socket.
CONNECTIONS = {
    "uvicorn.server:Server.startup": "0f55b45d6db92ef4",
    "uvicorn.server:Server.shutdown": "900594700f5befe1",
    "uvicorn.server:ServerState": "eec99d254af93efc",
}
# Builds the application of a legacy service and of a runner process.
LEGACY_SERVICE = {
    "bentoml._internal.server.http_app:HTTPAppFactory._create_api_endpoint": "412094f04bace78c",
    "bentoml._internal.server.http_app:HTTPAppFactory.middlewares": "03b416ad72f1c9cd",
    "bentoml._internal.service.service:Service.asgi_app": "26f3bff879197c9b",
}
LEGACY_RUNNER = {
    "bentoml._internal.runner.runner:Runner._set_handle": "b30cfa411613ddd8",
    "bentoml._internal.runner.runner:RunnerMethod": "2a6453c6781103af",
    "bentoml._internal.runner.runner_handle.local:LocalRunnerRef": "fe1f0e66e8656ca4",
    "bentoml._internal.runner.runner_handle.remote:RemoteRunnerClient": "d43c8cb06a0df952",
}
LEGACY_RUNNER_APP = {
    "bentoml._internal.server.runner_app:RunnerAppFactory": "7a4d3c6690e4d092",
}


def changed(expected: dict[str, str]) -> list[str]:
    """Return the names whose source is missing or has none of the expected hashes; empty if all match."""
    return [name for name, known in expected.items() if source_hash(name) not in known.split()]


@cache
def source_hash(name: str) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of the source of `module:qualified.name`; `gone` if it is missing."""
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = inspect.getattr_static(found, part)
    except (AttributeError, ModuleNotFoundError):
        return "gone"
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    return hashlib.sha256(without_comments(inspect.getsource(inspect.unwrap(found))).encode()).hexdigest()[:16]


def without_comments(source: str) -> str:
    """Return the source without comments, docstrings, empty lines and its common indent.

    The result is the same in every version of Python, unlike that of `ast.dump` and `ast.unparse`.
    """
    source = textwrap.dedent(source)
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if (
            not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            or ast.get_docstring(node) is None
        ):
            continue
        docstring = node.body[0]
        if docstring.lineno > node.lineno and docstring.end_lineno is not None:
            lines[docstring.lineno - 1 : docstring.end_lineno] = [""] * (docstring.end_lineno - docstring.lineno + 1)
    return "\n".join(line.rstrip() for line in lines if line.strip())


EVERYTHING = (
    ANSWERS
    | TRAFFIC
    | SESSIONS
    | CLIENT_CALLS
    | TASKS
    | CONNECTIONS
    | LEGACY_SERVICE
    | LEGACY_RUNNER
    | LEGACY_RUNNER_APP
)

if __name__ == "__main__":
    for each in EVERYTHING:
        sys.stdout.write(f'    "{each}": "{source_hash(each)}",\n')
