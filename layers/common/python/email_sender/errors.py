"""The one tree of errors.

    DomainError
    ├── InvalidInput          422 (400 where the body is not JSON)
    ├── Unauthenticated       401
    ├── Forbidden             403
    ├── NotFound              404
    ├── Conflict              409
    ├── UnsupportedMediaType  415
    ├── PayloadTooLarge       413
    ├── RateLimited           429
    ├── NotImplementedHere    501
    └── Unavailable           503
        └── ManagerStopped    503

The domain and the adapters raise these; HTTP statuses are given at the edge (kit/http.py), Step Functions names in
kit/tasks.py. A message is written for the caller: it never holds SQL, a host, an address or another tenant's fact.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input.

    `pointer` is an RFC 6901 JSON pointer into the body ("" is the whole of it); `message` is a sentence.
    """

    pointer: str
    message: str


class DomainError(Exception):
    code = "internal"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(DomainError):
    code = "invalid_input"

    def __init__(self, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInput":
        return cls(message, [Problem(pointer, message)])


class Unauthenticated(DomainError):
    code = "unauthenticated"


class Forbidden(DomainError):
    code = "forbidden"


class NotFound(DomainError):
    """Also for what exists in another tenant."""

    code = "not_found"


class Conflict(DomainError):
    code = "conflict"


class UnsupportedMediaType(DomainError):
    code = "unsupported_media_type"


class PayloadTooLarge(DomainError):
    code = "payload_too_large"


class RateLimited(DomainError):
    code = "rate_limited"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotImplementedHere(DomainError):
    code = "not_implemented"


class Unavailable(DomainError):
    """A dependency did not answer; the same call may succeed after `retry_after` seconds."""

    code = "unavailable"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ManagerStopped(Unavailable):
    code = "manager_stopped"
