"""The error hierarchy of the domain.

    DomainError
    ├── InvalidInput          422 (400 if the body is not JSON)
    ├── Unauthenticated       401
    ├── Forbidden             403
    │   └── KeyDestroyed      403
    ├── NotFound              404
    ├── Conflict              409
    ├── UnsupportedMediaType  415
    ├── PayloadTooLarge       413
    ├── RateLimited           429
    ├── NotSupported          501
    └── Unavailable           503
        └── ManagerStopped    503

The domain and the adapters raise these errors. kit/problems.py maps them to HTTP statuses, and kit/tasks maps them
to error names of Step Functions. Messages are written for the caller: they never contain SQL, a host name, an address
or data of another tenant.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in an input.

    `pointer` is an RFC 6901 JSON pointer into the body; "" is the whole body. For other parts of a request it is the
    part and the name, such as `query:limit`. `message` is a complete sentence.
    """

    pointer: str
    message: str


class DomainError(Exception):
    """Base class of all errors that callers may see.

    `code` is the stable name for programs; `detail` is the sentence for people.
    """

    code = "internal"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidInput(DomainError):
    """The input is invalid. `problems` lists each mistake."""

    code = "invalid_input"

    def __init__(self, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.problems = tuple(problems)

    @classmethod
    def at(cls, pointer: str, message: str) -> "InvalidInput":
        """Return an error with a single problem, whose message is also the detail."""
        return cls(message, [Problem(pointer, message)])


class Unauthenticated(DomainError):
    code = "unauthenticated"


class Forbidden(DomainError):
    code = "forbidden"


class KeyDestroyed(Forbidden):
    """The tenant was deleted, and nobody can read what its keys encrypted."""


class NotFound(DomainError):
    """Also raised for objects that belong to another tenant."""

    code = "not_found"


class Conflict(DomainError):
    """The request contradicts the current state."""

    code = "conflict"


class InProgress(Conflict):
    """A request with the same Idempotency-Key is still in progress; try again after `retry_after` seconds."""

    code = "request_in_progress"

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnsupportedMediaType(DomainError):
    code = "unsupported_media_type"


class PayloadTooLarge(DomainError):
    code = "payload_too_large"


class RateLimited(DomainError):
    """Too many requests; the caller may try again after `retry_after` seconds."""

    code = "rate_limited"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class NotSupported(DomainError):
    code = "not_implemented"


class Unavailable(DomainError):
    """A dependency did not respond. The same call may succeed after `retry_after` seconds."""

    code = "unavailable"

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ManagerStopped(Unavailable):
    """An operator has stopped the manager that handles the request."""

    code = "manager_stopped"
