"""A small client of the API, for the demonstration and the tests."""

from collections.abc import Callable
from typing import Any

import httpx


class ApiError(RuntimeError):
    """The API refused, in its own words."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            body = response.json()
        except ValueError:
            body = {}
        self.code = str(body.get("code", ""))
        detail = body.get("detail") or body.get("message") or response.text[:300]
        errors = "".join(f"\n  {each['pointer']}: {each['message']}" for each in body.get("errors", []))
        super().__init__(
            f"{response.request.method} {response.request.url.path} gave {response.status_code}: {detail}{errors}"
        )


class ApiClient:
    """Signed in as one user. `base` ends in /api/v1."""

    def __init__(self, base: str, token: str | None = None, timeout: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=base, headers=headers, timeout=timeout)

    @classmethod
    def sign_in(cls, base: str, username: str, password: str) -> "ApiClient":
        visitor = cls(base)
        try:
            tokens = visitor.post("/auth/token", {"username": username, "password": password})
        finally:
            visitor.close()
        return cls(base, tokens["access_token"])

    def get(self, path: str, **query: Any) -> Any:
        return self._answer(self.http.get(path, params=query))

    def post(self, path: str, body: Any, key: str | None = None) -> Any:
        return self._answer(self.http.post(path, json=body, headers={"idempotency-key": key} if key else {}))

    def put(self, path: str, body: Any) -> Any:
        return self._answer(self.http.put(path, json=body))

    def delete(self, path: str) -> None:
        self._answer(self.http.delete(path))

    def close(self) -> None:
        self.http.close()

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if response.is_error:
            raise ApiError(response)
        return response.json() if response.content else None


def wait_until[T](
    look: Callable[[], T], done: Callable[[T], bool], seconds: float, step: Callable[[T], None] | None = None
) -> T:
    """Look until it is done.

    Raises:
        TimeoutError: with what was last seen.
    """
    import time

    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if step is not None:
            step(seen)
        if done(seen):
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s: {str(seen)[:500]}")
        time.sleep(0.2)
