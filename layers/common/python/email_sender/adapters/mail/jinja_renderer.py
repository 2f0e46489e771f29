"""Render templates in Jinja2's immutable sandbox, with limits of time, memory and size.

Implements messaging.ports.Renderer.
"""

import resource
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from functools import cached_property, lru_cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from email_sender.errors import InvalidInput
from email_sender.messaging.model import Content, Template
from email_sender.messaging.ports import MissingValue

_MAX_SOURCE = 100_000
_MAX_OUTPUT = 500_000
_MAX_SECONDS = 1.0
_EXTRA_MEMORY_BYTES = 128 * 1024 * 1024
_MEMORY_STATISTICS = Path("/proc/self/statm")
_MAX_CALL_DEPTH = 600

# Each of these filters can turn a small template into a large text, and mail needs none of them.
_REMOVED_FILTERS = ("center", "format", "indent", "pprint", "tojson", "xmlattr", "wordwrap")


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError(f"A template cannot use the operator {operator} on these values.")
        return super().call_binop(context, operator, left, right)


class _MissingValueError(UndefinedError):
    """The template read `name` from `container`, which does not have it."""

    def __init__(self, container: Any, name: Any, message: str) -> None:
        super().__init__(message)
        self.container = container
        self.name = name


class _MissingValue(StrictUndefined):
    """A StrictUndefined whose error shows from which value the template read."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateError] = UndefinedError,
    ) -> None:
        error: Any = partial(_MissingValueError, obj, name) if exc is UndefinedError else exc
        super().__init__(hint, obj, name, error)


class JinjaRenderer:
    def used_names(self, source: str) -> frozenset[str]:
        if len(source) > _MAX_SOURCE:
            raise InvalidInput(f"A template has at most {_MAX_SOURCE} characters.")
        try:
            with _recursion_limit():
                return frozenset(meta.find_undeclared_variables(self._text_environment.parse(source)))
        except (TemplateError, RecursionError) as error:
            raise InvalidInput(_error_text(error)) from None

    def format_date(self, date: date, language: str) -> str:
        from babel import Locale, UnknownLocaleError
        from babel.dates import format_date

        try:
            locale = Locale.parse(language.replace("-", "_"))
        except (UnknownLocaleError, ValueError):
            locale = Locale.parse("en_GB")
        # English outside the United States has the day first.
        return format_date(date, "d MMMM y" if locale.language == "en" and locale.territory != "US" else "long", locale)

    def render(self, template: Template, values: Mapping[str, Any]) -> Content:
        subject = self._render(self._text_environment, template.subject, values).strip()
        if not subject:
            raise InvalidInput.at("/subject", "The subject is empty.")
        if "\n" in subject or "\r" in subject:
            raise InvalidInput.at("/subject", "The subject contains a line break.")
        text = self._render(self._text_environment, template.body_text, values)
        html = None if template.body_html is None else self._render(self._html_environment, template.body_html, values)
        return Content(subject, text, html)

    def _render(self, environment: _Sandbox, source: str, values: Mapping[str, Any]) -> str:
        try:
            with _recursion_limit(), _resource_limits():
                parts, size = [], 0
                # The limits include compilation, which evaluates constant expressions.
                for part in _compile(environment, source).generate(values):
                    size += len(part)
                    if size > _MAX_OUTPUT:
                        raise InvalidInput(f"The mail would have more than {_MAX_OUTPUT} characters.")
                    parts.append(part)
                return "".join(parts)
        except _MissingValueError as error:
            raise _missing_value(error, values) from None
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            raise InvalidInput(_error_text(error)) from None

    @cached_property
    def _text_environment(self) -> _Sandbox:
        return _environment(autoescape=False)

    @cached_property
    def _html_environment(self) -> _Sandbox:
        return _environment(autoescape=True)


def _environment(*, autoescape: bool) -> _Sandbox:
    environment = _Sandbox(autoescape=autoescape, undefined=_MissingValue, keep_trailing_newline=True)
    environment.globals.clear()
    for name in _REMOVED_FILTERS:
        environment.filters.pop(name, None)
    return environment


@lru_cache(maxsize=256)
def _compile(environment: _Sandbox, source: str) -> JinjaTemplate:
    return environment.from_string(source)


@contextmanager
def _recursion_limit() -> Iterator[None]:
    """Allow Python `_MAX_CALL_DEPTH` more calls, whatever recursion limit another library has set (jsonata: 10,000)."""
    frame: FrameType | None = sys._getframe()
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    previous_limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + _MAX_CALL_DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(previous_limit)


@contextmanager
def _resource_limits() -> Iterator[None]:
    """Limit time and memory. Lambda runs handlers in the main thread, one at a time.

    Only a signal can stop a loop that yields nothing. Only the operating system can stop a single call that allocates a
    gigabyte, such as "x".ljust(10**9); it causes a MemoryError.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_timeout(_signal: int, _frame: FrameType | None) -> None:
        raise InvalidInput(f"Rendering the template took more than {_MAX_SECONDS:g} s.")

    memory = resource.getrlimit(resource.RLIMIT_AS)
    previous_handler = signal.signal(signal.SIGALRM, on_timeout)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_memory_limit(*memory), memory[1]))
        signal.setitimer(signal.ITIMER_REAL, _MAX_SECONDS)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous_handler)
        resource.setrlimit(resource.RLIMIT_AS, memory)


def _memory_limit(soft: int, hard: int) -> int:
    """Return the memory in use plus `_EXTRA_MEMORY_BYTES`, or the present limit where /proc is missing (not Linux)."""
    if not _MEMORY_STATISTICS.exists():
        return soft
    budget = int(_MEMORY_STATISTICS.read_text().split()[0]) * resource.getpagesize() + _EXTRA_MEMORY_BYTES
    return min([budget, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])


def _error_text(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    location = f" (line {line})" if line else ""
    return f"The template cannot be used: {error}{location}"


def _missing_value(error: _MissingValueError, values: Mapping[str, Any]) -> MissingValue:
    """Return for example "The template reads evidence[0], but evidence is empty."."""
    if error.container is missing:
        return MissingValue(f"The template reads {error.name}, which has no value.", error.name)
    root, path = _path_of(error.container, values) or (None, "a value")
    missing_path = f"{path}[{error.name}]" if isinstance(error.name, int) else f"{path}.{error.name}"
    reason = f"has no {error.name}"
    if isinstance(error.container, list):
        count = len(error.container)
        reason = "is empty" if count == 0 else f"has only {count} item{'' if count == 1 else 's'}"
    return MissingValue(f"The template reads {missing_path}, but {path} {reason}.", root)


def _path_of(container: Any, values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the top-level name and the path of a value, such as `evidence` and `evidence[0]`.

    Returns None if the template computed the value.
    """
    for name, value in values.items():
        if value is container:
            return name, name
        items = enumerate(value) if isinstance(value, list) else ()
        for index, item in items:
            if item is container:
                return name, f"{name}[{index}]"
    return None
