"""A call of an operation, and iterators over pages."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request of an operation. `returns` is the type of its answer: None, str, or what pydantic parses."""

    method: str
    path: str
    returns: Any
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: BaseModel | Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    anonymous: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether a second request has no second effect."""
        return self.method in ("GET", "PUT", "DELETE") or self.idempotency_key is not None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of httpx for this request."""
        headers = {name: value for name, value in self.headers.items() if value is not None}
        if self.idempotency_key is not None:
            headers["idempotency-key"] = self.idempotency_key
        body: Any = self.body
        if isinstance(body, BaseModel):
            body = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
        elif body is not None:
            # It may hold ids, times and models of earlier answers.
            body = to_jsonable_python(body, by_alias=True)
        query = {name: _text(value) for name, value in self.query.items() if value is not None}
        return {"url": self.path, "params": query, "headers": headers, **({} if body is None else {"json": body})}

    def parse(self, content: bytes) -> T:
        """Return the answer of a successful request."""
        if self.returns is None:
            return cast("T", None)
        return cast("T", content.decode() if self.returns is str else TypeAdapter(self.returns).validate_json(content))


def quoted(value: object) -> str:
    """Return a value as a part of a path."""
    return quote(str(value), safe="")


def _text(value: Any) -> Any:
    """Return a query parameter; a list repeats it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | set | frozenset):
        return [str(element) for element in value]
    return str(value)


class Page(Protocol[Item]):
    @property
    def items(self) -> list[Item]: ...
    @property
    def next_cursor(self) -> Any: ...


def pages(read: Callable[[Any], Page[Item]]) -> Iterator[Item]:
    """Yield the items of all pages; a page is read when it is needed."""
    cursor = None
    while True:
        page = read(cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


async def pages_async(read: Callable[[Any], Awaitable[Page[Item]]]) -> AsyncIterator[Item]:
    """Yield the items of all pages; a page is read when it is needed."""
    cursor = None
    while True:
        page = await read(cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
