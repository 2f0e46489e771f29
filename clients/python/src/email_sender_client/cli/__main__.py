"""`python -m email_sender_client.cli` is `email-sender`."""

from email_sender_client.cli import main

main()
