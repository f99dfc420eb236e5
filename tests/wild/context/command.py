"""`python command.py PORT`: an HTTP server that responds with the `traceparent` of the request."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":  # as BentoML forwards every request
            while self.rfile.readline().strip() not in (b"0", b""):
                pass
            self.rfile.readline()
        body = (self.headers.get("traceparent") or "").encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
