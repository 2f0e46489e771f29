"""Jinja2 in its immutable sandbox, with limits of time and size. Implements messaging.ports.Renderer."""

import resource
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import StrictUndefined, TemplateError, meta
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from email_sender.errors import InvalidInput
from email_sender.messaging.model import Content, Template

_MAX_SOURCE = 100_000
_MAX_OUTPUT = 500_000
_SECONDS = 1.0
_MEMORY = 128 * 1024 * 1024
_STATM = Path("/proc/self/statm")
_DEPTH = 600

# Each makes a large thing out of a small template; none is needed in a letter.
_REMOVED_FILTERS = ("center", "format", "indent", "pprint", "tojson", "xmlattr", "wordwrap")


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or not all(isinstance(side, int | float) for side in (left, right)):
            raise SecurityError(f"The operator {operator} is for numbers here.")
        return super().call_binop(context, operator, left, right)


class JinjaRenderer:
    def used_names(self, source: str) -> frozenset[str]:
        if len(source) > _MAX_SOURCE:
            raise InvalidInput(f"A template is at most {_MAX_SOURCE} characters.")
        try:
            with _shallow():
                return frozenset(meta.find_undeclared_variables(self._text.parse(source)))
        except (TemplateError, RecursionError) as error:
            raise InvalidInput(_words(error)) from None

    def render(self, template: Template, values: Mapping[str, Any]) -> Content:
        subject = self._render(self._text, template.subject, values).strip()
        if not subject:
            raise InvalidInput.at("/subject", "The subject is empty.")
        if "\n" in subject or "\r" in subject:
            raise InvalidInput.at("/subject", "The subject has a line break.")
        text = self._render(self._text, template.body_text, values)
        html = None if template.body_html is None else self._render(self._html, template.body_html, values)
        return Content(subject, text, html)

    def _render(self, environment: _Sandbox, source: str, values: Mapping[str, Any]) -> str:
        try:
            with _shallow(), _limits():
                parts, size = [], 0
                # Compiling is limited too: it works out what is constant.
                for part in _compiled(environment, source).generate(values):
                    size += len(part)
                    if size > _MAX_OUTPUT:
                        raise InvalidInput(f"The mail would be over {_MAX_OUTPUT} characters.")
                    parts.append(part)
                return "".join(parts)
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
            raise InvalidInput(_words(error)) from None

    @cached_property
    def _text(self) -> _Sandbox:
        return _environment(autoescape=False)

    @cached_property
    def _html(self) -> _Sandbox:
        return _environment(autoescape=True)


def _environment(*, autoescape: bool) -> _Sandbox:
    environment = _Sandbox(autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.globals.clear()
    for name in _REMOVED_FILTERS:
        environment.filters.pop(name, None)
    return environment


@lru_cache(maxsize=256)
def _compiled(environment: _Sandbox, source: str) -> JinjaTemplate:
    return environment.from_string(source)


@contextmanager
def _shallow() -> Iterator[None]:
    """Let Python go `_DEPTH` calls deeper and no further, whatever limit other libraries set (jsonata: 10,000)."""
    frame: FrameType | None = sys._getframe()
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    earlier = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + _DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(earlier)


@contextmanager
def _limits() -> Iterator[None]:
    """Of time and memory. Lambda runs handlers in the main thread, and one at a time.

    A loop that yields nothing can only be stopped by a signal; one call that makes a gigabyte ("x".ljust(10**9), and
    there are many such) only by the system, as a MemoryError.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expired(_signal: int, _frame: FrameType | None) -> None:
        raise InvalidInput(f"The template took over {_SECONDS:g} s.")

    memory = resource.getrlimit(resource.RLIMIT_AS)
    earlier = signal.signal(signal.SIGALRM, expired)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_memory_limit(*memory), memory[1]))
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        resource.setrlimit(resource.RLIMIT_AS, memory)


def _memory_limit(soft: int, hard: int) -> int:
    """What is in use now and a little more; as it was where the system does not say (it is not Linux)."""
    if not _STATM.exists():
        return soft
    wanted = int(_STATM.read_text().split()[0]) * resource.getpagesize() + _MEMORY
    return min([wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])


def _words(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    where = f" (line {line})" if line else ""
    return f"The template cannot be used: {error}{where}"
