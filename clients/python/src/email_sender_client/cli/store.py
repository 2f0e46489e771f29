"""Where the command line keeps its session: a file that only its owner can read."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_config_path

from email_sender_client.errors import SignInNeeded
from email_sender_client.session import Session

# Another file, for scripts and tests.
VARIABLE = "EMAIL_SENDER_SESSION"


@dataclass(frozen=True)
class Stored:
    url: str
    session: Session


def session_file() -> Path:
    return Path(os.environ.get(VARIABLE) or user_config_path("email-sender") / "session.json")


def save(url: str, session: Session) -> None:
    """Store the session; a reader sees the old file or the new one, and no other user sees any."""
    path = session_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"url": url, "session": asdict(session)}, file)
    new.replace(path)


def load() -> Stored:
    """Return the stored session.

    Raises:
        SignInNeeded: there is none.
    """
    try:
        content = json.loads(session_file().read_text())
        return Stored(content["url"], Session(**content["session"]))
    except FileNotFoundError:
        raise SignInNeeded("Nobody is signed in.") from None
    except (ValueError, KeyError, TypeError):
        raise SignInNeeded(f"The session in {session_file()} cannot be read.") from None


def forget() -> None:
    session_file().unlink(missing_ok=True)
