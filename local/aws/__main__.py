"""python -m local.aws --port P --api-port A --state DIR [--smtp HOST:PORT] [--log FILE]: run the emulator of AWS."""

import argparse
import asyncio
import os
import resource
import sys
from pathlib import Path

from local.aws.saved_state import SERVICES, drop_incomplete_state
from local.ports import HOST, is_free

ACCOUNT = "000000000000"
REGION = "us-east-1"
# Each concurrent invocation is a process of 60 to 100 MB.
CONCURRENT_INVOCATIONS = 32


def ministack_environment(port: int, state: Path, smtp: str | None, auth: bool) -> dict[str, str]:
    """Return the environment variables that MiniStack reads when it is imported."""
    variables = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": HOST,
        "MINISTACK_HOST": HOST,  # in queue URLs; "localhost" may be ::1, where nothing listens
        "MINISTACK_REGION": REGION,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "PERSIST_STATE": "1",
        "STATE_DIR": str(state / SERVICES),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "TMPDIR": str(state / "tmp"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_ACCOUNT_CONCURRENCY": str(CONCURRENT_INVOCATIONS),
        "MINISTACK_COGNITO_PRETOKEN_STRICT": "1",  # a failed trigger issues no token, as on AWS
        "COGNITO_EMAIL_ENABLED": "false",
        "DOCKER_HOST": f"unix://{state}/no-docker.sock",  # never look for containers to remove
        "LOG_LEVEL": "INFO",
    }
    if smtp:
        variables["SMTP_HOST"] = smtp
    if auth:
        variables["AUTH"] = "true"
    return variables


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.aws", description="The AWS part of the local cloud.")
    parser.add_argument("--port", type=int, required=True, help="the AWS endpoint")
    parser.add_argument("--api-port", type=int, required=True, help="the HTTP API on a clean base URL")
    parser.add_argument("--state", type=Path, required=True, help="directory for all persistent state")
    parser.add_argument("--smtp", metavar="HOST:PORT", help="SMTP server that receives SES's mail")
    parser.add_argument("--log", type=Path, help="append the server's own log to this file")
    parser.add_argument("--auth", action="store_true", help="enforce IAM policies")
    options = parser.parse_args()

    for port in (options.port, options.api_port):
        if not is_free(port):  # a second server must not load, and later save, the first one's state
            sys.exit(f"local.aws: Port {port} is in use. Stop the other server, or use --port and --api-port.")
    state = options.state.resolve()
    (state / "tmp").mkdir(parents=True, exist_ok=True)
    if options.log:
        # Redirect the descriptor, not sys.stderr, so that the log also has output of C code and crashes.
        log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 2)
    if notice := drop_incomplete_state(state / SERVICES):
        sys.stderr.write(f"{notice}\n")
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINISTACK_", "LOCALSTACK_"))]:
        del os.environ[name]  # keep this process away from real AWS accounts
    os.environ.update(ministack_environment(options.port, state, options.smtp, options.auth))
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))

    from local.aws.server import serve  # after the environment: MiniStack reads it on import

    smtp = None
    if options.smtp:
        host, _, number = options.smtp.rpartition(":")
        smtp = (host, int(number))
    asyncio.run(serve(options.port, options.api_port, state, smtp))


if __name__ == "__main__":
    main()
