"""Communication with the process of an execution environment."""

import json
import os
import selectors
import subprocess
import time
from contextlib import suppress
from typing import IO, Any, cast


class Pipes:
    """The three pipes of an execution environment's process: requests in, responses out, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], response_fd: int) -> None:
        self._process = process
        self._requests = cast("IO[bytes]", process.stdin)
        self._response_fd = response_fd
        self._log = cast("IO[bytes]", process.stdout)
        self._pending = b""
        self.is_broken = False
        os.set_blocking(response_fd, False)
        os.set_blocking(self._log.fileno(), False)

    def exchange(self, message: dict[str, Any], timeout: float, request_id: str = "") -> tuple[dict[str, Any], str]:
        """Send one message and wait for its response. Return the response and the log written until then.

        If the process ends or does not respond within `timeout` s, the response is an error and `is_broken` is set.
        """
        lines: list[bytes] = []
        deadline = time.monotonic() + timeout
        line = None
        try:
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()
            line = self._read_response(deadline, lines)
        except (BrokenPipeError, EOFError):
            self.is_broken = True
            response = {"error": self._exit_report(request_id)}
        else:
            if line is None:
                self.is_broken = True
                text = f"{request_id and f'RequestId: {request_id} Error: '}Task timed out after {timeout:.2f} seconds"
                response = {"error": {"errorMessage": text, "errorType": "Sandbox.Timedout"}}
            else:
                response = json.loads(line)
        self._read_log(lines)
        return response, b"".join(lines).decode(errors="replace")

    def close(self) -> None:
        if self._response_fd < 0:
            return
        with suppress(BrokenPipeError):  # the process ended before it read a request
            self._requests.close()
        self._log.close()
        os.close(self._response_fd)
        self._response_fd = -1

    def _read_response(self, deadline: float, log: list[bytes]) -> bytes | None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._response_fd, selectors.EVENT_READ)
            selector.register(self._log, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                ready = selector.select(deadline - time.monotonic())
                if not ready and time.monotonic() >= deadline:
                    return None
                for key, _ in ready:
                    if key.fd != self._response_fd:
                        if not self._read_log(log):
                            selector.unregister(self._log)  # closed by the handler, or by the process ending
                    elif chunk := os.read(self._response_fd, 1 << 20):
                        self._pending += chunk
                    else:
                        raise EOFError
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _read_log(self, lines: list[bytes]) -> bool:
        """Append the available log output to `lines`. Return False at the end of the log."""
        while True:
            try:
                chunk = os.read(self._log.fileno(), 1 << 16)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            lines.append(chunk)

    def _exit_report(self, request_id: str) -> dict[str, Any]:
        status = self._process.wait(5)
        cause = f"signal: {-status}" if status < 0 else f"exit status {status}"
        text = f"Error: Runtime exited with error: {cause}"
        return {
            "errorMessage": f"RequestId: {request_id} {text}" if request_id else text,
            "errorType": "Runtime.ExitError",
        }
