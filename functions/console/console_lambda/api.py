"""Requests of the HTTP API in the name of the person who is signed in. Pages get all data here, and change it here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from email_sender import tracing
from email_sender.errors import Unavailable

BASE = "/api/v1"
# API Gateway gives a function 30 seconds; a page waits a little less for each request.
_SECONDS = 25
_PARALLEL = 8


class ApiProblem(Exception):
    """The API answered with an error. `problem` is its problem document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail", "")))
        self.status, self.problem = status, problem

    @property
    def detail(self) -> str:
        return str(self.problem.get("detail") or f"The API answered with status {self.status}.")

    @property
    def errors(self) -> Sequence[Mapping[str, str]]:
        """What is wrong, at least one entry: `pointer` into the input, and `message`."""
        errors: Sequence[Mapping[str, str]] = self.problem.get("errors", [])
        return errors or [{"pointer": "", "message": self.detail}]


class ApiConnection:
    """The connection to the API, shared by all requests of an execution environment."""

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        limits = httpx.Limits(max_connections=2 * _PARALLEL)
        self._http = httpx.Client(base_url=url + BASE, timeout=_SECONDS, limits=limits, transport=transport)
        self._threads = ThreadPoolExecutor(_PARALLEL)

    def as_person(self, access_token: str) -> "Api":
        return Api(self._http, self._threads, access_token)


class Api:
    """Every method raises ApiProblem, or Unavailable if the API does not respond."""

    def __init__(self, http: httpx.Client, threads: ThreadPoolExecutor, access_token: str) -> None:
        self._http, self._threads, self._access_token = http, threads, access_token

    def get(self, path: str, **query: Any) -> Any:
        sent = {name: value for name, value in query.items() if value not in (None, "")}
        return self._json(self.send("GET", path, params=sent))

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        """`key` makes repeated requests have one effect: a form that is sent twice."""
        return self._json(self.send("POST", path, json=body if body is not None else {}, key=key))

    def put(self, path: str, body: Any, *, version: int | None = None) -> Any:
        headers = {} if version is None else {"if-match": f'"{version}"'}
        return self._json(self.send("PUT", path, json=body, headers=headers))

    def delete(self, path: str, **query: Any) -> None:
        self.send("DELETE", path, params=query)

    def get_all(self, *requests: tuple[str, Mapping[str, Any]]) -> list[Any]:
        """Return the answers of several GET requests, which are sent at once."""
        return list(self._threads.map(lambda request: self.get(request[0], **request[1]), requests))

    def get_by_id(self, path: str, ids: Iterable[str]) -> list[Any]:
        """Return what a list has with these ids, in their order. What was deleted is missing."""
        unique = list(dict.fromkeys(ids))
        requests = [(path, {"id": unique[at : at + 100]}) for at in range(0, len(unique), 100)]
        return [item for page in self.get_all(*requests) for item in page["items"]]

    def items(self, path: str, *, at_most: int = 1_000, **query: Any) -> Iterator[Any]:
        """Yield the entries of a list, page after page."""
        cursor, yielded = None, 0
        while yielded < at_most:
            page = self.get(path, limit=min(100, at_most), cursor=cursor, **query)
            yield from page["items"]
            yielded += len(page["items"])
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def send(self, method: str, path: str, *, key: str = "", **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._access_token}", **request.pop("headers", {})}
        if key:
            headers["idempotency-key"] = key
        if (trace := tracing.traceparent()) is not None:
            headers["traceparent"] = trace
        try:
            response = self._http.request(method, path, headers=headers, **request)
        except httpx.HTTPError as error:
            raise Unavailable("The API did not respond.") from error
        if response.is_error:
            raise ApiProblem(response.status_code, _problem(response))
        return response

    @staticmethod
    def _json(response: httpx.Response) -> Any:
        return response.json() if response.content else None


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
