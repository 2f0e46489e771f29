"""The AWS half of the local cloud: MiniStack in a process of its own, and what deploys the real template to it.

    python -m local.aws --port 4566 --api-port 8080 --state .local/aws

`transform` turns the built SAM template into one that MiniStack takes, `deploy` uploads and deploys it, `sandboxes` runs
the functions the way Lambda does, `mail_relay` hands what SES accepted to an SMTP server.
"""
