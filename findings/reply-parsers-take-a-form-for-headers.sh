#!/bin/sh
# Reply parsers take a form with the fields From, To, Subject and Date for the headers of a forwarded mail.
#
# A removal firm's customer writes "From: Berlin", "To: Hamburg". email-reply-parser 0.5.12 and mail-parser-reply 1.36 cut
# the reply there; quotequail 0.5.4 says that the customer forwards a mail of somebody named Berlin. Copied headers hold a
# date with digits or an address; these hold neither.
#
# Seen: 'The data:' of both parsers, and type 'forward', from 'Berlin' of quotequail.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet email-reply-parser==0.5.12 mail-parser-reply==1.36 quotequail==0.5.4
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import email_reply_parser
import mailparser_reply
import quotequail

text = "The data:\n\nFrom: Berlin\nTo: Hamburg\nSubject: a removal\nDate: Monday\n\nCan you do it?\n"
first = email_reply_parser.EmailReplyParser.parse_reply(text)
second = mailparser_reply.EmailReplyParser(languages=["en"]).read(text).latest_reply
third = quotequail.unwrap(text)
print(repr(first), repr(second), third)
as_seen = first == second == "The data:" and (third["type"], third["from"]) == ("forward", "Berlin")
sys.exit(0 if as_seen else "changed: the form is kept")
PYTHON
