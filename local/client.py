"""A small client of the API, for the demo and the tests."""

from collections.abc import Callable
from typing import Any

import httpx


class ApiError(RuntimeError):
    """The API returned an error. The message has its status, detail and field errors."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            body = response.json()
        except ValueError:
            body = {}
        self.code = str(body.get("code", ""))
        detail = body.get("detail") or body.get("message") or response.text[:300]
        errors = "".join(f"\n  {error['pointer']}: {error['message']}" for error in body.get("errors", []))
        super().__init__(
            f"{response.request.method} {response.request.url.path} returned {response.status_code}: {detail}{errors}"
        )


class ApiClient:
    """A client that is signed in as one user. `base` is a URL that ends in /api/v1."""

    def __init__(self, base: str, token: str | None = None, timeout: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=base, headers=headers, timeout=timeout)

    @classmethod
    def sign_in(cls, base: str, username: str, password: str) -> "ApiClient":
        anonymous = cls(base)
        try:
            tokens = anonymous.post("/auth/token", {"username": username, "password": password})
        finally:
            anonymous.close()
        return cls(base, tokens["access_token"])

    def get(self, path: str, **query: Any) -> Any:
        return self._parse(self.http.get(path, params=query))

    def post(self, path: str, body: Any, key: str | None = None) -> Any:
        return self._parse(self.http.post(path, json=body, headers={"idempotency-key": key} if key else {}))

    def put(self, path: str, body: Any) -> Any:
        return self._parse(self.http.put(path, json=body))

    def delete(self, path: str) -> None:
        self._parse(self.http.delete(path))

    def close(self) -> None:
        self.http.close()

    @staticmethod
    def _parse(response: httpx.Response) -> Any:
        if response.is_error:
            raise ApiError(response)
        return response.json() if response.content else None


def wait_until[T](
    poll: Callable[[], T], is_done: Callable[[T], bool], seconds: float, step: Callable[[T], None] | None = None
) -> T:
    """Call `poll` until `is_done` accepts its value, and return that value. `step` gets every value.

    Raises:
        TimeoutError: `seconds` passed. The message has the last value.
    """
    import time

    deadline = time.monotonic() + seconds
    while True:
        value = poll()
        if step is not None:
            step(value)
        if is_done(value):
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not done after {seconds:.0f} s. The last value was: {str(value)[:500]}")
        time.sleep(0.2)
