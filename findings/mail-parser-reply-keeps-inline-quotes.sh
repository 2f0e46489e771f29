#!/bin/sh
# mail-parser-reply 1.36 returns the other person's questions as part of the reply when answers stand between them.
#
# Of a reply that answers line by line, `latest_reply` is the whole text, quoted lines included. Whoever stores it as the
# writer's words quotes somebody else. Remove quoted lines before the library sees the text.
#
# Seen: '> When do you come?\n\nOn Monday.\n\n> Which floor?\n\nThe second.'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mail-parser-reply==1.36
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from mailparser_reply import EmailReplyParser

text = "> When do you come?\n\nOn Monday.\n\n> Which floor?\n\nThe second.\n"
reply = EmailReplyParser(languages=["en"]).read(text).latest_reply
print(repr(reply))
sys.exit(0 if "> When" in reply and "> Which" in reply else "changed: quoted lines are removed")
PYTHON
