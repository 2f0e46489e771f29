#!/bin/sh
# flufl.bounce 6.0.0 returns the recipient of a success report as a permanent failure.
#
# sendmail answers NOTIFY=SUCCESS with a multipart/report (RFC 3464) whose field says "relayed". The detector of RFC 3464
# rightly finds no failure. The detectors of free text then run all the same, and one of them reads the address in the
# human-readable part. Whoever suppresses what the library returns stops mailing people who got the mail. Read the fields
# first, and ask about the text only where there are none.
#
# Seen: [] ['old@mx.example']
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flufl.bounce==6.0.0
cat > "$folder/report.eml" <<'MAIL'
Date: Sat, 28 Nov 2026 17:02:08 GMT
From: Mail Delivery Subsystem <MAILER-DAEMON@mx.example>
Message-Id: <1@mx.example>
To: <anna@client.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"
Subject: Return receipt
Auto-Submitted: auto-generated (return-receipt)

--b

The original message was received at Sat, 28 Nov 2026 17:02:08 GMT
from mx.example [192.0.2.1]

   ----- The following addresses had successful delivery notifications -----
ok@dest.example  (relayed to non-DSN-aware mailer)
    (expanded from: <old@mx.example>)

   ----- Transcript of session follows -----
ok@dest.example... relayed; expect no further notifications

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Arrival-Date: Sat, 28 Nov 2026 17:02:08 GMT

Original-Recipient: rfc822;old@mx.example
Final-Recipient: RFC822; old@mx.example
Action: relayed (to non-DSN-aware mailer)
Status: 2.1.5

--b--
MAIL
"$folder/venv/bin/python" - "$folder/report.eml" <<'PYTHON'
import email, sys
from flufl.bounce import all_failures

temporary, permanent = all_failures(email.message_from_binary_file(open(sys.argv[1], "rb")))
print(sorted(map(bytes.decode, temporary)), sorted(map(bytes.decode, permanent)))
sys.exit(0 if permanent else "changed: no failure is returned")
PYTHON
