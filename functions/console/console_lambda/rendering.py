"""HTML from the templates, and the files that pages load."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha384
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from email_sender.kit.api_paths import CONSOLE_PATH

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).parent
PREFIX = CONSOLE_PATH
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Files whose names have their hash may be kept for ever.
FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """`integrity` is what browsers compare the file with (Subresource Integrity)."""

    media_type: str
    body: bytes
    compressed: bytes
    integrity: str
    path: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return every file by the path under which pages load it, which has a part of the file's hash."""
    found = {}
    for file in sorted((FOLDER / "static").iterdir()):
        if file.suffix not in _TYPES:
            continue
        body = file.read_bytes()
        digest = sha384(body).digest()
        path = f"{PREFIX}/static/{file.stem}.{digest.hex()[:12]}{file.suffix}"
        integrity = f"sha384-{base64.b64encode(digest).decode()}"
        found[path] = Asset(_TYPES[file.suffix], body, gzip.compress(body, 9, mtime=0), integrity, path)
    return found


def render(template: str, /, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "time": _time,
        "words": _words,
        "no_mail": _no_mail,
        "number": _number,
        "duration": _duration,
    }
    environment.globals |= {
        "asset": lambda name: next(asset for path, asset in assets().items() if _plain_name(path) == name),
        "form_key": lambda: str(uuid4()),
    }
    return environment


def _plain_name(path: str) -> str:
    stem, _, suffix = path.rpartition("/")[2].rsplit(".", 2)
    return f"{stem}.{suffix}"


def _time(value: str | None) -> "Markup":
    """Return a time element. A script rewrites its text in the reader's zone and language."""
    from markupsafe import Markup

    if not value:
        return Markup("-")
    at = datetime.fromisoformat(value)
    return Markup('<time datetime="{}">{}</time>').format(value, at.astimezone(UTC).strftime("%-d %b %Y, %H:%M UTC"))


def _duration(milliseconds: float) -> str:
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.1f} s"
    minutes, seconds = divmod(round(milliseconds / 1_000), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _words(value: str) -> str:
    """Return a name of the API as words: `auto_reply` becomes "auto reply"."""
    return value.replace("_", " ").replace(".", " ")


def _no_mail(reason: str) -> str:
    """Return why an address gets no mail."""
    return {"manual": "suppressed by hand", "erased": "asked to be erased"}.get(reason, _words(reason))


def _number(value: float) -> str:
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.3g}"
