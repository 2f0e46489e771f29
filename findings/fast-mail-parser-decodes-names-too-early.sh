#!/bin/sh
# fast-mail-parser 0.10.0 decodes a display name before anybody has split the addresses.
#
# RFC 2047 has addresses parsed first and words decoded after: a decoded name may hold a comma. The library's `headers`
# hold decoded text, so one sender becomes two addresses, the first without a domain. Split addresses from the raw header.
#
# Seen: Berg, Anna <anna@client.example>
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet fast-mail-parser==0.10.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from fast_mail_parser import parse_email

raw = b"From: =?utf-8?q?Berg=2C_Anna?= <anna@client.example>\r\nSubject: Roof\r\n\r\nHello\r\n"
header = parse_email(raw).headers["From"][0]
print(header)
sys.exit(0 if header == "Berg, Anna <anna@client.example>" else "changed: the name is quoted or encoded")
PYTHON
