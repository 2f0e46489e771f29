"""The local cloud: the real template on one machine.

    with LocalCloud(Layout(Path(".local")), report) as cloud:
        cloud.start()

Facts lie in PostgreSQL, Qdrant, the bucket and the mail sink's folder, all under `.local`. The emulator of AWS forgets
when it is killed, so it is deployed to again at each start, and whenever it had to be started anew.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import database, identities, settings
from local.aws import packaging
from local.aws.deploy import deploy, session
from local.identities import User
from local.layout import BUILD, EMBEDDINGS, PORTS, Layout
from local.ports import HOST, pick
from local.postgres import Postgres
from local.processes import Child, Spec, Supervisor, python_spec
from local.qdrant.spec import qdrant_spec

STAGE = "local"
STACK = "email-sender-local"
REGION = "us-east-1"
SES_SOURCE = "local.ses"
LAYER_BUCKET = "local-layers"
# The environment's variable that names another text model, as the template's parameter TextModel does.
TEXT_MODEL = "EMAIL_SENDER_TEXT_MODEL"
OLLAMA = '{"provider": "openai", "endpoint": "http://127.0.0.1:11434/v1", "model": "llama3.2"}'
NOTIFICATIONS_FROM = "Email Sender <notifications@email-sender.example>"
_ROLES = ("app", "platform", "backup")

_DEPLOYMENTS, _PAUSE_SECONDS = 4, 3

type Report = Callable[[str], None]


class NotBuilt(RuntimeError):
    """There is nothing to deploy; the message says what to do."""


class LocalCloud:
    """`report` gets a line for each thing that is done, with its time."""

    def __init__(
        self, layout: Layout, report: Report, ports: dict[str, int] | None = None, *, verbose: bool = False
    ) -> None:
        self._layout, self._report, self._verbose = layout, report, verbose
        self._wanted_ports = {**PORTS, **(ports or {})}
        self.ports: dict[str, int] = {}
        self.users: Sequence[User] = ()
        self.outputs: dict[str, str] = {}
        self._supervisor = Supervisor(self._on_exit)
        self._deploying = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Start every part, deploy, and write endpoints.json.

        Raises:
            NotBuilt: `make build` was not run.
            NotReady, DeploymentFailed, PostgresFailed: with what to look at.
        """
        if not (BUILD / "template.yaml").is_file() or not (EMBEDDINGS / "python").is_dir():
            raise NotBuilt("Nothing is built yet: run `make build` first (`make run` does).")
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        self._pick_ports()
        with self._timed("PostgreSQL"):
            self._server = Postgres(self._layout.directory("postgres"), self.ports["postgres"])
            self._server.prepare()
            self._supervisor.start(self._server.spec(self._log("postgres")))
        with self._timed("migrations, roles, tenants"):
            database.prepare(self._server, {role: self._layout.secret(f"{role}.password") for role in _ROLES})
        with self._timed("Qdrant"):
            self._supervisor.start(self._qdrant())
        with self._timed("mail sink"):
            self._supervisor.start(self._mail_sink())
        with self._timed("AWS"):
            self._supervisor.start(self._aws())
        with self._timed("deployment of template.yaml"):
            self._deploy()
        self._started = True

    @property
    def layout(self) -> Layout:
        return self._layout

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.ports['api']}"

    @property
    def aws_url(self) -> str:
        return f"http://{HOST}:{self.ports['aws']}"

    @property
    def database_url(self) -> str:
        """The superuser's."""
        return self._server.url(database.DATABASE)

    @property
    def mail_url(self) -> str:
        return f"http://{HOST}:{self.ports['mail']}"

    def pid(self, part: str) -> int:
        """The process id of a part: postgres, qdrant, mail_sink or aws."""
        return self._supervisor.pid(part)

    def stop(self) -> None:
        self._supervisor.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _pick_ports(self) -> None:
        for part, preferred in self._wanted_ports.items():
            self.ports[part] = pick(part, preferred, self._report, self.ports.values())

    def _qdrant(self) -> Spec:
        return qdrant_spec(
            self._layout.directory("qdrant"), self._log("qdrant.out"), self.ports["qdrant-grpc"], self.ports["qdrant"]
        )

    def _mail_sink(self) -> Spec:
        return self._python(
            "local.mail_sink",
            ["--port", str(self.ports["smtp"]), "--http-port", str(self.ports["mail"])],
            ["--dir", str(self._layout.directory("mail")), "--events-endpoint", self.aws_url],
            ["--bus", "default", "--source", SES_SOURCE],
        )

    def _aws(self) -> Spec:
        return self._python(
            "local.aws",
            ["--port", str(self.ports["aws"]), "--api-port", str(self.ports["api"])],
            ["--state", str(self._layout.directory("aws")), "--smtp", f"{HOST}:{self.ports['smtp']}"],
            ["--log", str(self._log("aws"))],
        )

    def _python(self, module: str, *options: list[str]) -> Spec:
        log = self._log(f"{module.rpartition('.')[2]}.out")
        return python_spec(module, log, *(each for group in options for each in group))

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def _deploy(self) -> None:
        with self._deploying:
            client = session(self.aws_url)
            secrets = {role: self._put_secret(client, role) for role in _ROLES}
            owner = self._put_secret(client, "postgres", self._server.password)
            self.outputs = deploy(
                BUILD, self.aws_url, STACK, self._parameters(client, secrets, owner), self._difference
            )
            self._keep_link_key(client)
            settings.keep(client, self.database_url, STAGE)
            for sender in (NOTIFICATIONS_FROM, *(tenant.mail_from for tenant in database.TENANTS)):
                client("ses").verify_domain_identity(Domain=parseaddr(sender)[1].partition("@")[2])
            self.users = identities.sign_up_all(client("cognito-idp"), self.outputs["UserPoolId"])
            self._layout.write_endpoints(self._endpoints())

    def _parameters(self, client: Callable[[str], Any], secrets: dict[str, str], owner: str) -> dict[str, str]:
        return {
            "Stage": STAGE,
            "AppVersion": self._version(),
            "PublicUrl": self.api_url,
            "CorsOrigin": "http://localhost:3000",
            "CognitoUrl": self.aws_url,
            "DatabaseHost": HOST,
            "DatabasePort": str(self.ports["postgres"]),
            "DatabaseSsl": "disable",
            "DatabaseAppSecretArn": secrets["app"],
            "DatabasePlatformSecretArn": secrets["platform"],
            "DatabaseBackupSecretArn": secrets["backup"],
            "DatabaseOwnerSecretArn": owner,
            "QdrantHost": HOST,
            "QdrantGrpcPort": str(self.ports["qdrant-grpc"]),
            "QdrantTls": "false",
            "QdrantHealthUrl": f"http://{HOST}:{self.ports['qdrant']}/healthz",
            "Embedder": "wordllama",
            "EmbeddingsLayerArn": self._embeddings_layer(client),
            "TextModel": os.environ.get(TEXT_MODEL, OLLAMA),
            "KeyWrapper": f"file:{self._layout.wrapping_key().resolve()}",
            "SesEventSource": SES_SOURCE,
            "NotificationsFrom": NOTIFICATIONS_FROM,
        }

    def _version(self) -> str:
        """The same as long as the template and the engine's data are: a start that changes nothing deploys nothing."""
        template = packaging.digest((BUILD / "template.yaml").read_bytes())[:8]
        engine = packaging.digest(self._layout.secret("../qdrant/identity").encode())[:8]
        return f"0.1.0+{template}.{engine}"

    def _put_secret(self, client: Callable[[str], Any], user: str, password: str | None = None) -> str:
        manager = client("secretsmanager")
        name = f"email-sender/local/{user}"
        value = json.dumps({"username": user, "password": password or self._layout.secret(f"{user}.password")})
        try:
            arn: str = manager.create_secret(Name=name, SecretString=value)["ARN"]
        except manager.exceptions.ResourceExistsException:
            arn = manager.put_secret_value(SecretId=name, SecretString=value)["ARN"]
        return arn

    def _keep_link_key(self, client: Callable[[str], Any]) -> None:
        """Unsubscribe links of an earlier start keep working: their key is kept outside the emulator."""
        value = json.dumps({"current": "k1", "k1": self._layout.secret("links.key")})
        client("secretsmanager").put_secret_value(SecretId=self.outputs["LinkSecretArn"], SecretString=value)

    def _embeddings_layer(self, client: Callable[[str], Any]) -> str:
        """The bundled model's layer; the version that is there, where it holds the same files."""
        name, digest = "email-sender-local-embeddings", packaging.tree_digest(EMBEDDINGS)
        functions = client("lambda")
        for version in functions.list_layer_versions(LayerName=name)["LayerVersions"]:
            if version.get("Description") == digest:
                return str(version["LayerVersionArn"])
        s3 = client("s3")
        if LAYER_BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=LAYER_BUCKET)
        s3.put_object(Bucket=LAYER_BUCKET, Key=digest, Body=packaging.zip_tree(EMBEDDINGS))
        content = {"S3Bucket": LAYER_BUCKET, "S3Key": digest}
        return str(
            functions.publish_layer_version(LayerName=name, Description=digest, Content=content)["LayerVersionArn"]
        )

    def _endpoints(self) -> dict[str, Any]:
        return {
            "api": f"{self.api_url}/api/v1",
            "docs": f"{self.api_url}/api/v1/docs",
            "region": REGION,
            "aws_endpoint": self.aws_url,
            "event_bus": self.outputs["BusName"],
            "user_pool_id": self.outputs["UserPoolId"],
            "user_pool_client_id": self.outputs["UserPoolClientId"],
            "uploads_bucket": self.outputs["UploadsBucket"],
            "inbound_bucket": self.outputs["InboundBucket"],
            "backups_bucket": self.outputs["BackupsBucket"],
            "backup_machine": self.outputs["BackupMachine"],
            "users": [user.shown() for user in self.users],
            "postgres": self.database_url,
            "qdrant": {
                "http": f"http://{HOST}:{self.ports['qdrant']}",
                "grpc": f"{HOST}:{self.ports['qdrant-grpc']}",
            },
            "mail": {"http": f"{self.mail_url}/messages", "smtp": f"{HOST}:{self.ports['smtp']}"},
            "logs": str(self._layout.logs.resolve()),
        }

    def _on_exit(self, child: Child, status: int) -> None:
        self._report(f"{child.spec.name} ended with status {status} and is started again; log: {child.spec.log}")
        if child.spec.name == "aws" and self._started:
            threading.Thread(target=self._deploy_again, name="deploys-again", daemon=True).start()

    def _deploy_again(self) -> None:
        """What it needs may be on its way back, too: where everything was killed, PostgreSQL takes seconds."""
        for left in reversed(range(_DEPLOYMENTS)):
            try:
                self._wait_for_aws()
                self._deploy()
            except Exception as error:  # a thread's last word
                if left:
                    self._report(f"The deployment to the new AWS failed and is tried again: {error}")
                    time.sleep(_PAUSE_SECONDS)
                    continue
                self._report(
                    f"The deployment to the new AWS failed: {error}. Stop with Ctrl-C and run `make run` again."
                )
            else:
                self._report("AWS is back and deployed to; passwords are new, see .local/endpoints.json")
                return

    def _wait_for_aws(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                session(self.aws_url)("sts").get_caller_identity()
            except Exception:  # whatever it is, it is not there yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            else:
                return

    def _difference(self, line: str) -> None:
        """What is otherwise than on AWS: listed in docs/guides/local.md, and shown when asked for."""
        if self._verbose:
            self._report(line)

    def _timed(self, what: str) -> "_Timed":
        return _Timed(what, self._report)


class _Timed:
    def __init__(self, what: str, report: Report) -> None:
        self._what, self._report = what, report

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._report(f"{self._what}: {time.perf_counter() - self._started:.1f} s")
