"""The AWS part of the local cloud: the emulator MiniStack in its own process, and the deployment to it.

    python -m local.aws --port 4566 --api-port 8080 --state .local/aws

`transform` turns the built SAM template into one that MiniStack accepts, `deploy` uploads and deploys it,
`execution_environments` runs the functions as Lambda does, `mail_relay` sends the mail that SES accepted to an SMTP
server, and `repairs` fixes other differences between MiniStack and AWS.

This package replaces functions of one version of MiniStack. At the start it compares their source with known
fingerprints; with another version it stops and names the functions that changed.
"""
