#!/bin/sh
# Three libraries that extract a reply drop the writer's own words after a sentence that ends with "wrote:".
#
# "On … wrote:" is prose as often as it is the line that a client puts above a quotation. email-reply-parser 0.5.12,
# mail-parser-reply 1.36 and quotequail 0.5.4 look at the words alone, so an answer to a question loses its answer.
# A line that a client wrote has a date or an address; a sentence has neither.
#
# Seen, each time: 'Hello,' is all that is left.
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

text = "Hello,\n\nOn the whole I agree with what Anna wrote:\nthe roof can wait until spring.\n\nPaul\n"
left = {
    "email-reply-parser": email_reply_parser.EmailReplyParser.parse_reply(text),
    "mail-parser-reply": mailparser_reply.EmailReplyParser(languages=["en"]).read(text).latest_reply,
    "quotequail": quotequail.unwrap(text)["text_top"],
}
print(left)
sys.exit(0 if set(left.values()) == {"Hello,"} else "changed: more of the text is kept")
PYTHON
