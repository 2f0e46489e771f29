#!/bin/sh
# flufl.bounce 6.0.0 takes the second of three addresses in a line for a permanent failure, in any mail.
#
# Its last detector looks for an address between two commas and for nothing else. An ordinary letter that lists three
# addresses yields a "permanent failure", and so does a report that returns the headers of a mail to three people. Match what
# the library returns against the one recipient of the email that the report is about.
#
# Seen: [] ['bertha@client.example']
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flufl.bounce==6.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import email, sys
from flufl.bounce import all_failures

letter = b"""From: anna@client.example
To: paul@dest.example
Subject: Who comes

The guests are paul@dest.example, bertha@client.example, carl@client.example.
"""
temporary, permanent = all_failures(email.message_from_bytes(letter))
print(sorted(map(bytes.decode, temporary)), sorted(map(bytes.decode, permanent)))
sys.exit(0 if permanent else "changed: no failure is returned")
PYTHON
