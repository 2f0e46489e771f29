#!/bin/sh
# email-reply-parser 0.5.12 drops everything below a line of three dashes.
#
# The convention for a signature is exactly "-- ". Three dashes are a rule that people (and Markdown) put between two parts
# of a text, but to the library they start the signature, however long and whatever follows.
#
# Seen: 'The first offer is 900 euros.'
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet email-reply-parser==0.5.12
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from email_reply_parser import EmailReplyParser

text = "The first offer is 900 euros.\n\n---\n\nThe second offer is 1,200 euros. We take this one.\n"
reply = EmailReplyParser.parse_reply(text)
print(repr(reply))
sys.exit(0 if "second" not in reply else "changed: the text below the rule is kept")
PYTHON
