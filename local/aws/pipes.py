"""How a sandbox's process is spoken to."""

import json
import os
import selectors
import subprocess
import time
from contextlib import suppress
from typing import IO, Any, cast


class Pipes:
    """The three pipes of a sandbox: requests in, answers out, and its log."""

    def __init__(self, process: subprocess.Popen[bytes], answers: int) -> None:
        self._process = process
        self._requests = cast("IO[bytes]", process.stdin)
        self._answers = answers
        self._log = cast("IO[bytes]", process.stdout)
        self._pending = b""
        self.broken = False
        os.set_blocking(answers, False)
        os.set_blocking(self._log.fileno(), False)

    def exchange(self, message: dict[str, Any], timeout: float, request_id: str = "") -> tuple[dict[str, Any], str]:
        """Send one message and wait for its answer: the answer, and what was logged meanwhile.

        A process that ends or does not answer in time gives an error answer and leaves the pipes `broken`.
        """
        lines: list[bytes] = []
        deadline = time.monotonic() + timeout
        line = None
        try:
            self._requests.write(json.dumps(message).encode() + b"\n")
            self._requests.flush()
            line = self._answer(deadline, lines)
        except (BrokenPipeError, EOFError):
            self.broken = True
            answer = {"error": self._exit_report(request_id)}
        else:
            if line is None:
                self.broken = True
                text = f"{request_id and f'RequestId: {request_id} Error: '}Task timed out after {timeout:.2f} seconds"
                answer = {"error": {"errorMessage": text, "errorType": "Sandbox.Timedout"}}
            else:
                answer = json.loads(line)
        self._read_log(lines)
        return answer, b"".join(lines).decode(errors="replace")

    def close(self) -> None:
        if self._answers < 0:
            return
        with suppress(BrokenPipeError):  # a request that the process did not live to read
            self._requests.close()
        self._log.close()
        os.close(self._answers)
        self._answers = -1

    def _answer(self, deadline: float, log: list[bytes]) -> bytes | None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._log, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                ready = selector.select(deadline - time.monotonic())
                if not ready and time.monotonic() >= deadline:
                    return None
                for key, _ in ready:
                    if key.fd != self._answers:
                        if not self._read_log(log):
                            selector.unregister(self._log)  # closed by the handler, or by the process ending
                    elif chunk := os.read(self._answers, 1 << 20):
                        self._pending += chunk
                    else:
                        raise EOFError
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _read_log(self, lines: list[bytes]) -> bool:
        """Take what the log holds now; False at its end."""
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
        how = f"signal: {-status}" if status < 0 else f"exit status {status}"
        text = f"Error: Runtime exited with error: {how}"
        return {
            "errorMessage": f"RequestId: {request_id} {text}" if request_id else text,
            "errorType": "Runtime.ExitError",
        }
