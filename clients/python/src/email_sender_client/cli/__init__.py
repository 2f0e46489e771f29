"""The command line `email-sender`."""

import sys


def main() -> None:
    """Run the command line, and end with a message instead of a traceback if the API answers with an error."""
    try:
        from email_sender_client.cli.commands import app
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is missing. Install the command line: pip install 'email-sender-client[cli]'")
    from email_sender_client.cli.output import run

    run(app)
