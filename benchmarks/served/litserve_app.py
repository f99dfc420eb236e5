"""The no-op in LitServe: `python -m served.litserve_app PORT`."""

import sys

import litserve


class NoOp(litserve.LitAPI):
    def setup(self, device: str) -> None:
        """Load nothing."""

    def decode_request(self, request) -> int:  # type: ignore[no-untyped-def] # noqa: ANN001 - it would be a schema
        return int(request["x"])

    def predict(self, x: int) -> int:
        return x

    def encode_response(self, output: int) -> int:
        return output


if __name__ == "__main__":
    server = litserve.LitServer(NoOp(api_path="/noop"), accelerator="cpu", healthcheck_path="/readyz")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="info")
