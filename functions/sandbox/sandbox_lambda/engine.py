"""Runs JavaScript: QuickJS, compiled to WebAssembly, without files, network and processes.

Two walls: code that broke out of QuickJS would be in WebAssembly's memory, and a function without rights is around it.
Each call has a memory of its own. It starts as a copy of the memory after the modules in `js/` were loaded.
"""

import asyncio
import hashlib
import hmac
import math
import os
import posixpath
import re
from collections.abc import Coroutine
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from quickjs_rs import Context, DeadlockError, MemoryLimitError, QuickJSError, Runtime, Snapshot
from quickjs_rs import TimeoutError as EngineTimeout
from wasmtime import Trap

from email_sender.errors import InvalidInput

MEMORY_BYTES: Final = 256 * 1024 * 1024
_LOAD_SECONDS: Final = 30.0
_ALGORITHMS: Final = {
    **{name: name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")},
    **{f"sha3-{size}": f"sha3_{size}" for size in (256, 384, 512)},
    "sha3": "sha3_512",
}
_MODULES: Final = files("sandbox_lambda") / "js"
# Libraries for files and pages double the memory that is copied for each call: only requests with these have them.
_NODE_WITH_FORMATS: Final = re.compile(
    r'(?:"type": ?"|\.)(?:convertToFile|extractFromFile|gmail|html|markdown|rssFeedRead|xml)"'
)
_SHEET: Final = re.compile(r'"operation": ?"(?:xlsx|xls|ods|html|rtf)"')
_PDF: Final = re.compile(r'"operation": ?"pdf"')


def run(request: str, seconds: float) -> str:
    """Run a request (js/workflow.js has its shape) and return the answer. Both are JSON.

    Raises:
        InvalidInput: the code ran too long or used too much memory.
    """
    return _finish(_run(_loaded_modules(_entry_for(request)), request, seconds))


def _entry_for(request: str) -> str:
    """Return the module that loads what the request's nodes need. A text that looks like one costs only time."""
    if not _NODE_WITH_FORMATS.search(request):
        return "main.js"
    if _PDF.search(request):
        return "main_with_pdf.js"
    return "main_with_sheets.js" if _SHEET.search(request) else "main_with_formats.js"


def _finish[T](work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop of its own. asyncio.run would take away the thread's current loop."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


async def _run(modules: bytes, request: str, seconds: float) -> str:
    with _runtime() as runtime, runtime.new_context(timeout=seconds) as context:
        runtime.restore_snapshot(Snapshot.from_bytes(modules), context)
        _add_host_functions(context)
        context.globals["request"], context.globals["entropy"] = request, os.urandom(16).hex()
        try:
            answer = await context.eval_async("await runRequest(request, entropy)")
        except EngineTimeout:
            raise InvalidInput(f"The nodes ran longer than {seconds:g} s.") from None
        except MemoryLimitError:
            raise InvalidInput(f"The nodes used more than {MEMORY_BYTES // 1024**2} MB of memory.") from None
        except Trap:
            raise InvalidInput(
                "The nodes were stopped: their code calls itself too often, or their items have too many levels."
            ) from None
        except DeadlockError:
            raise InvalidInput("The nodes were stopped: their code waits, and does not end.") from None
        except QuickJSError as error:
            raise InvalidInput(f"The nodes were stopped: {str(error)[:300]}") from None
    return str(answer)


def _runtime() -> Runtime:
    runtime = Runtime(memory_limit=MEMORY_BYTES)
    runtime.set_module_loader(normalize=_module_name, load=_module_source)
    return runtime


@cache
def _loaded_modules(entry: str) -> bytes:
    """Return the memory after the modules were loaded: loading takes half a second, and a copy some ms."""

    async def load() -> bytes:
        with _runtime() as runtime, runtime.new_context(timeout=_LOAD_SECONDS) as context:
            _add_host_functions(context)
            await context.eval_async(f"await import({entry!r}); 0")
            return bytes((await context.create_snapshot_async()).to_bytes())

    return _finish(load())


def _add_host_functions(context: Context) -> None:
    """Give the code the two things that the engine lacks. They read nothing but their arguments."""
    context.register("__zoneOffset", _zone_offset)
    context.register("__hash", _hash)


def _hash(algorithm: object, text: object, key: object) -> str | None:
    """Return a text's hash or, with a key, its HMAC, in hexadecimal; None for an unknown algorithm."""
    name = _ALGORITHMS.get(str(algorithm).lower())
    if name is None or not isinstance(text, str):
        return None
    content = text.encode("utf-8", "surrogatepass")
    if isinstance(key, str):
        return hmac.new(key.encode("utf-8", "surrogatepass"), content, name).hexdigest()
    return hashlib.new(name, content, usedforsecurity=False).hexdigest()


def _module_name(base: str, specifier: str) -> str | None:
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), specifier))
    return name if not name.startswith((".", "/")) and name.endswith(".js") else None


def _module_source(name: str) -> str | None:
    path = _MODULES / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _zone_offset(zone: object, milliseconds: object) -> float | None:
    """Return a time zone's offset from UTC in minutes, or None for an unknown zone. The engine has no time zones."""
    if not isinstance(zone, str) or zone not in _zones():
        return None
    if not isinstance(milliseconds, int | float) or not math.isfinite(milliseconds) or abs(milliseconds) > 8e15:
        return 0.0
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(ZoneInfo(zone))
    except (ValueError, OverflowError, OSError):  # before the year 1 or after 9999
        return 0.0
    return (moment.utcoffset() or moment - moment).total_seconds() / 60
