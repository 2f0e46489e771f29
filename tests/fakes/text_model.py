"""A local HTTP server in place of the text model: OpenAI's chat completions, with answers that tests choose."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# A text, or a text and calls of tools: (id, name, arguments as JSON).
type Answer = Callable[[str], str | tuple[str, Sequence[tuple[str, str, str]]]]


class TextModelServer(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answer: Answer, port: int, status: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer, self.status = answer, status
        self.requests: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: TextModelServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(request)
        answer = self.server.answer(request["messages"][-1]["content"])
        text, calls = (answer, ()) if isinstance(answer, str) else answer
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if calls:
            message["tool_calls"] = [
                {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}
                for number, name, arguments in calls
            ]
        body = {
            "choices": [{"message": message}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7},
        }
        raw = json.dumps(body).encode()
        self.send_response(self.server.status if self.path == "/v1/chat/completions" else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no log."""


@contextmanager
def serve_text_model(answer: Answer, port: int = 0, status: int = 200) -> Iterator[TextModelServer]:
    """Serve on `port`, or on a free port if `port` is 0."""
    server = TextModelServer(answer, port, status)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
