"""The AWS half of the local cloud: MiniStack in a process of its own, and what deploys the real template to it.

    python -m local.aws --port 4566 --api-port 8080 --state .local/aws

`transform` turns the built SAM template into one that MiniStack takes, `deploy` uploads and deploys it, `sandboxes`
runs the functions as Lambda does, `mail_relay` hands what SES accepted to an SMTP server, `repairs` is the rest of what
MiniStack does otherwise than AWS.

All of it is written for one version of MiniStack: what is replaced there is compared with what was read, and a start
with another version ends with the names of what changed.
"""
