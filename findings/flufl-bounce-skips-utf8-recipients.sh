#!/bin/sh
# flufl.bounce 6.0.0 finds nobody in a bounce of an internationalised address.
#
# RFC 6533 gives such a report the type message/global-delivery-status and the address type utf-8. The library reads only
# message/delivery-status and rfc822, so a bounce of müller@… never suppresses the address. Read both types.
#
# Seen: frozenset() frozenset()
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flufl.bounce==6.0.0
cat > "$folder/report.eml" <<'MAIL'
From: Mail Delivery System <MAILER-DAEMON@mx.example>
Subject: Undelivered Mail Returned to Sender
To: anna@client.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
Content-Transfer-Encoding: 8bit

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Your message could not be delivered. See the attached report.

--b
Content-Type: message/global-delivery-status
Content-Transfer-Encoding: 8bit

Reporting-MTA: dns; mx.example

Final-Recipient: utf-8; müller@dest.example
Original-Recipient: utf-8;müller@dest.example
Action: failed
Status: 5.1.1

--b--
MAIL
"$folder/venv/bin/python" - "$folder/report.eml" <<'PYTHON'
import email, sys
from flufl.bounce import all_failures

temporary, permanent = all_failures(email.message_from_binary_file(open(sys.argv[1], "rb")))
print(temporary, permanent)
sys.exit("changed: the recipient is returned" if permanent else 0)
PYTHON
