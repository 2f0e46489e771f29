#!/bin/sh
# flufl.bounce 6.0.0 returns the addresses of a mailing list as temporary failures, from the list's welcome message.
#
# The library's task is to find the recipients in mail that is a bounce. It is no test of whether mail is one: Mailman 3's
# ordinary welcome message yields two "temporary failures". Classify the mail by its headers first.
#
# Seen: [b'team-request@mx.example', b'team@mx.example'] []
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flufl.bounce==6.0.0
cat > "$folder/welcome.eml" <<'MAIL'
Subject: Welcome to the "Team" mailing list
From: team-request@mx.example
To: anna@client.example
Message-ID: <1@mx.example>
Date: Sat, 28 Nov 2026 17:08:53 +0000
Precedence: bulk
X-Mailman-Version: 3.3.8
List-Id: <team.mx.example>

Welcome to the "Team" mailing list!

To post to this list, send your message to:

  team@mx.example

You can unsubscribe or make adjustments to your options via email by
sending a message to:

  team-request@mx.example

with the word 'help' in the subject or body (don't include the
quotes), and you will get back a message with instructions.
MAIL
"$folder/venv/bin/python" - "$folder/welcome.eml" <<'PYTHON'
import email, sys
from flufl.bounce import all_failures

temporary, permanent = all_failures(email.message_from_binary_file(open(sys.argv[1], "rb")))
print(sorted(temporary), sorted(permanent))
sys.exit(0 if temporary else "changed: no failure is returned")
PYTHON
