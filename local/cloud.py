"""The local cloud: run every part on this machine and deploy the real template to it.

    with LocalCloud(Layout(Path(".local")), report) as cloud:
        cloud.start()

PostgreSQL, Qdrant, the bucket and the mail sink's folder store the data, all under `.local`. The AWS emulator loses its
state when it is killed, so every start, and every restart of the emulator, deploys the stack again.
"""

import json
import os
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local import database, identities, restored_settings
from local.aws import packaging
from local.aws.deploy import client_factory, deploy
from local.identities import User
from local.layout import BUILD, EMBEDDINGS, PORTS, ROOT, SES_SOURCE, Layout
from local.ports import HOST, pick_port
from local.postgres import Postgres
from local.processes import Child, Spec, Supervisor, python_spec
from local.qdrant.spec import qdrant_spec

STAGE = "local"
STACK = "email-sender-local"
REGION = "us-east-1"
LAYER_BUCKET = "local-layers"
# The environment variable that sets the text model, with a value of the template's parameter TextModel.
TEXT_MODEL = "EMAIL_SENDER_TEXT_MODEL"
OLLAMA = '{"provider": "openai", "endpoint": "http://127.0.0.1:11434/v1", "model": "llama3.2"}'
NOTIFICATIONS_FROM = "Email Sender <notifications@email-sender.example>"
_ROLES = ("app", "platform", "backup", "gateway")

_REQUEST_LIMITS = (
    "RequestsPerClient", "RequestsPerTenant", "RequestsPerAddress", "SignInsPerAddress", "SignInsPerAccount",
)  # fmt: skip
_UNLIMITED = "10000000"

_DEPLOYMENTS, _PAUSE_SECONDS = 4, 3

type Report = Callable[[str], None]


class NotBuilt(RuntimeError):
    """Nothing is built that could be deployed. The message says what to do."""


class LocalCloud:
    """The parts of the local cloud and its stack. `report` gets one line for each completed step, with its time.

    `tenants` are added unless they exist. Without tenants, a backup can be restored. `limited=False` raises the limits
    of requests, for load that one machine makes in the name of many clients.
    """

    def __init__(
        self,
        layout: Layout,
        report: Report,
        ports: dict[str, int] | None = None,
        *,
        verbose: bool = False,
        tenants: Sequence[database.Tenant] = database.TENANTS,
        limited: bool = True,
    ) -> None:
        self._layout, self._report, self._verbose, self._tenants = layout, report, verbose, tenants
        self._limited = limited
        self._preferred_ports = {**PORTS, **(ports or {})}
        self.ports: dict[str, int] = {}
        self.users: Sequence[User] = ()
        self.outputs: dict[str, str] = {}
        self._supervisor = Supervisor(self._on_exit)
        self._deploy_lock = threading.Lock()
        self._started = False

    def start(self) -> None:
        """Start every part, deploy, and write endpoints.json.

        Raises:
            NotBuilt: `make build` has not been run.
            NotReady, DeploymentFailed, PostgresFailed: a part failed. The message says where to look.
        """
        if not (BUILD / "template.yaml").is_file() or not (EMBEDDINGS / "python").is_dir():
            raise NotBuilt("Nothing is built yet. Run `make build` first (`make run` does that).")
        self._layout.logs.mkdir(parents=True, exist_ok=True)
        self._pick_ports()
        with self._timer("1/6 PostgreSQL started"):
            self._server = Postgres(self._layout.directory("postgres"), self.ports["postgres"])
            self._server.prepare()
            self._supervisor.start(self._server.spec(self._log("postgres")))
        with self._timer("2/6 Database migrated, roles and tenants created"):
            passwords = {role: self._layout.secret(f"{role}.password") for role in _ROLES}
            database.prepare(self._server, passwords, self._tenants)
        with self._timer("3/6 Qdrant started"):
            self._supervisor.start(self._qdrant())
        with self._timer("4/6 Mail sink started"):
            self._supervisor.start(self._mail_sink())
        with self._timer("5/6 AWS emulator started"):
            self._supervisor.start(self._aws())
        with self._timer("6/6 template.yaml deployed"):
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
        """The connection URL of the superuser."""
        return self._server.url(database.DATABASE)

    @property
    def mail_url(self) -> str:
        return f"http://{HOST}:{self.ports['mail']}"

    def pid(self, part: str) -> int:
        """Return the process id of a part: postgres, qdrant, mail_sink or aws."""
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
        for part, preferred in self._preferred_ports.items():
            self.ports[part] = pick_port(part, preferred, self._report, self.ports.values())

    def _qdrant(self) -> Spec:
        return qdrant_spec(
            self._layout.directory("qdrant"), self._log("qdrant.out"), self.ports["qdrant-grpc"], self.ports["qdrant"]
        )

    def _mail_sink(self) -> Spec:
        return self._python_spec(
            "local.mail_sink",
            ["--port", str(self.ports["smtp"]), "--http-port", str(self.ports["mail"])],
            ["--dir", str(self._layout.directory("mail")), "--events-endpoint", self.aws_url],
            ["--bus", "default", "--source", SES_SOURCE],
        )

    def _aws(self) -> Spec:
        return self._python_spec(
            "local.aws",
            ["--port", str(self.ports["aws"]), "--api-port", str(self.ports["api"])],
            ["--state", str(self._layout.directory("aws")), "--smtp", f"{HOST}:{self.ports['smtp']}"],
            ["--log", str(self._log("aws"))],
        )

    def _python_spec(self, module: str, *options: list[str]) -> Spec:
        log = self._log(f"{module.rpartition('.')[2]}.out")
        return python_spec(module, log, *(option for group in options for option in group))

    def _log(self, name: str) -> Path:
        return self._layout.logs / f"{name}.log"

    def _deploy(self) -> None:
        with self._deploy_lock:
            client = client_factory(self.aws_url)
            secrets = {role: self._put_secret(client, role) for role in _ROLES}
            owner = self._put_secret(client, "postgres", self._server.password)
            self.outputs = deploy(
                BUILD, self.aws_url, STACK, self._parameters(client, secrets, owner), self._report_difference
            )
            self._restore_link_key(client)
            restored_settings.restore_settings(client, self.database_url, STAGE)
            self.sign_up_users()

    def sign_up_users(self) -> None:
        """Add the users of all tenants, verify the tenants' senders, and write endpoints.json."""
        client = client_factory(self.aws_url)
        tenants = database.list_tenants(self.database_url)
        for sender in (NOTIFICATIONS_FROM, *(tenant.mail_from for tenant in tenants if tenant.mail_from)):
            client("ses").verify_domain_identity(Domain=parseaddr(sender)[1].partition("@")[2])
        self.users = identities.sign_up_all(client("cognito-idp"), self.outputs["UserPoolId"], tenants)
        self._layout.write_endpoints(self._endpoints())

    def _parameters(self, client: Callable[[str], Any], secrets: dict[str, str], owner: str) -> dict[str, str]:
        return {
            "Stage": STAGE,
            "AppVersion": self._version(),
            "PublicUrl": self.api_url,
            "CorsOrigin": "http://localhost:3000",
            "CognitoUrl": self.aws_url,
            "StorageUrl": self.aws_url,
            "DatabaseHost": HOST,
            "DatabasePort": str(self.ports["postgres"]),
            "DatabaseSsl": "disable",
            "DatabaseAppSecretArn": secrets["app"],
            "DatabasePlatformSecretArn": secrets["platform"],
            "DatabaseBackupSecretArn": secrets["backup"],
            "DatabaseGatewaySecretArn": secrets["gateway"],
            "DatabaseOwnerSecretArn": owner,
            "QdrantHost": HOST,
            "QdrantGrpcPort": str(self.ports["qdrant-grpc"]),
            "QdrantTls": "false",
            "QdrantHealthUrl": f"http://{HOST}:{self.ports['qdrant']}/healthz",
            "Embedder": "bundled",
            "EmbeddingsLayerArn": self._embeddings_layer(client),
            "TextModel": os.environ.get(TEXT_MODEL, OLLAMA),
            "KeyWrapper": f"file:{self._layout.wrapping_key().resolve()}",
            "SesEventSource": SES_SOURCE,
            "NotificationsFrom": NOTIFICATIONS_FROM,
            "ExportFindings": "on",
            "TraceEndpoint": f"{self.aws_url}/v1/traces",
            "TraceSamplePercent": "100",
            **({} if self._limited else dict.fromkeys(_REQUEST_LIMITS, _UNLIMITED)),
        }

    def _version(self) -> str:
        """Return a version that changes only with the template and the engine's data: a restart deploys nothing."""
        template = packaging.digest((BUILD / "template.yaml").read_bytes())[:8]
        engine = packaging.digest(self._layout.secret("../qdrant/identity").encode())[:8]
        release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        return f"{release}+{template}.{engine}"

    def _put_secret(self, client: Callable[[str], Any], user: str, password: str | None = None) -> str:
        manager = client("secretsmanager")
        name = f"email-sender/local/{user}"
        value = json.dumps({"username": user, "password": password or self._layout.secret(f"{user}.password")})
        try:
            arn: str = manager.create_secret(Name=name, SecretString=value)["ARN"]
        except manager.exceptions.ResourceExistsException:
            arn = manager.put_secret_value(SecretId=name, SecretString=value)["ARN"]
        return arn

    def _restore_link_key(self, client: Callable[[str], Any]) -> None:
        """Restore the key of unsubscribe links, so that old links work. It is stored outside the emulator."""
        value = json.dumps({"current": "k1", "k1": self._layout.secret("links.key")})
        client("secretsmanager").put_secret_value(SecretId=self.outputs["LinkSecretArn"], SecretString=value)

    def _embeddings_layer(self, client: Callable[[str], Any]) -> str:
        """Return the ARN of the bundled model's layer. Publish a version only if none has the same files."""
        name, digest = "email-sender-local-embeddings", packaging.tree_digest(EMBEDDINGS)
        functions = client("lambda")
        for version in functions.list_layer_versions(LayerName=name)["LayerVersions"]:
            if version.get("Description") == digest:
                return str(version["LayerVersionArn"])
        s3 = client("s3")
        if LAYER_BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
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
            "records_function": self.outputs["RecordsFunction"],
            "users": [user.as_dict() for user in self.users],
            "postgres": self.database_url,
            "qdrant": {
                "http": f"http://{HOST}:{self.ports['qdrant']}",
                "grpc": f"{HOST}:{self.ports['qdrant-grpc']}",
            },
            "mail": {"http": f"{self.mail_url}/messages", "smtp": f"{HOST}:{self.ports['smtp']}"},
            "logs": str(self._layout.logs.resolve()),
        }

    def _on_exit(self, child: Child, status: int) -> None:
        self._report(f"{child.spec.name} ended with status {status}. Restarting it; its log is {child.spec.log}")
        if child.spec.name == "aws" and self._started:
            threading.Thread(target=self._deploy_again, name="deploys-again", daemon=True).start()

    def _deploy_again(self) -> None:
        """Deploy to the restarted emulator. Retry, because other parts may be restarting too."""
        for attempts_left in reversed(range(_DEPLOYMENTS)):
            try:
                self._wait_for_aws()
                self._deploy()
            except Exception as error:  # the thread must report every error
                if attempts_left:
                    self._report(f"The deployment to the restarted AWS emulator failed. Trying again: {error}")
                    time.sleep(_PAUSE_SECONDS)
                    continue
                self._report(
                    f"The deployment to the restarted AWS emulator failed: {error}. Stop, then run `make run` again."
                )
            else:
                self._report("The AWS emulator runs again. Users have new passwords: see .local/endpoints.json.")
                return

    def _wait_for_aws(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                client_factory(self.aws_url)("sts").get_caller_identity()
            except Exception:  # any error means that it is not ready yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            else:
                return

    def _report_difference(self, line: str) -> None:
        """Report a difference from AWS if `verbose` is set. docs/guides/local.md lists the main ones."""
        if self._verbose:
            self._report(line)

    def _timer(self, step: str) -> "_StepTimer":
        return _StepTimer(step, self._report)


class _StepTimer:
    def __init__(self, step: str, report: Report) -> None:
        self._step, self._report = step, report

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._report(f"{self._step} ({time.perf_counter() - self._started:.1f} s)")
