"""What the command line prints: tables and text for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import httpx
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from email_sender_client.errors import ApiError, CodeNeeded, NewPasswordNeeded, SignInNeeded

console = Console()
# Progress and hints go here, so that the output can be piped.
notes = Console(stderr=True)


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, dict):
        return {name: _plain(element) for name, element in value.items()}
    return [_plain(element) for element in value] if isinstance(value, list | tuple) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text of other people must not be read as markup.
        table.add_row(*(_escaped("" if cell is None else cell) for cell in row))
    console.print(table)


def print_text(text: str, style: str | None = None) -> None:
    console.print(_escaped(text), style=style, highlight=False)


def print_note(text: str, style: str | None = None) -> None:
    """Print what is not the result, such as a draft to look at."""
    notes.print(_escaped(text), style=style, highlight=False)


def _escaped(value: object) -> str:
    from rich.markup import escape

    # Control characters in a subject could rewrite the terminal.
    return escape("".join(char for char in str(value) if char.isprintable() or char == "\n"))


def run(app: typer.Typer) -> None:
    """Run the application; an error is one message, and the exit code is 1 (2 for wrong arguments)."""
    try:
        app()
    except (ApiError, TimeoutError) as error:
        _fail(str(error))
    except SignInNeeded as error:
        _fail(f"{error} Run `email-sender login`.")
    except (CodeNeeded, NewPasswordNeeded) as error:
        _fail(str(error))
    except httpx.TransportError as error:
        _fail(f"The platform cannot be reached: {error}")
    except (OSError, ValueError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str) -> None:
    notes.print(_escaped(message), style="red", highlight=False)
    sys.exit(1)
