#!/bin/sh
# fast-mail-parser 0.10.0 leaves an encoded word with a language tag as it is.
#
# RFC 2231, section 5, allows `=?utf-8*de?q?…?=`. The library returns the raw word as the subject, so a search for the
# subject's words finds nothing. Drop the tag before decoding.
#
# Seen: '=?utf-8*de?q?Gr=C3=BC=C3=9Fe?='
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fast-mail-parser==0.10.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from fast_mail_parser import parse_email

raw = b"From: anna@client.example\r\nSubject: =?utf-8*de?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n"
subject = parse_email(raw).subject
print(repr(subject))
sys.exit(0 if subject.startswith("=?") else "changed: the word is decoded")
PYTHON
