"""The AWS part of the local cloud, tested with a small template that uses every AWS feature of the product."""

import json
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.aws.deploy import DeploymentFailed, client_factory, deploy
from local.ports import pick_port
from local.processes import Child, Spec, Supervisor

pytestmark = [pytest.mark.kills, pytest.mark.own_cloud]

SAMPLE = Path(__file__).with_name("sample_app")
# Below 32768: Linux gives the ports above to connections from here, also of the tests in the background.
SMTP_PORT, MAIL_PORT = 30526, 30581


@dataclass
class SampleCloud:
    """A running emulator with the sample application deployed."""

    state: Path
    port: int
    api_port: int
    child: Child
    outputs: dict[str, str] = field(default_factory=dict)
    deployment_log: list[str] = field(default_factory=list)
    received_messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/api/v1"

    def client(self, service: str) -> Any:
        return client_factory(self.endpoint)(service)

    def deploy(self, **parameters: str) -> None:
        self.deployment_log.clear()
        self.outputs = deploy(
            SAMPLE, self.endpoint, "sample", {"Stage": "test"} | parameters, self.deployment_log.append
        )

    def sign_in(self, username: str, role: str) -> dict[str, str]:
        cognito = self.client("cognito-idp")
        pool = self.outputs["UserPoolId"]
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=username,
            UserAttributes=[{"Name": "custom:tenant_id", "Value": "t-1"}, {"Name": "custom:role", "Value": role}],
        )
        cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password="Pa55word!x", Permanent=True)
        response = cognito.initiate_auth(
            ClientId=self.outputs["ClientId"],
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": "Pa55word!x"},
        )
        tokens: dict[str, str] = response["AuthenticationResult"]
        return tokens

    def invoke(self, payload: Any, name: str = "TaskName") -> tuple[Any, Any]:
        """Invoke a function; return its response and, if it failed, the kind of failure."""
        response = self.client("lambda").invoke(FunctionName=self.outputs[name], Payload=json.dumps(payload))
        return json.loads(response["Payload"].read()), response.get("FunctionError")

    def wait_for_message(self, matches: Callable[[dict[str, Any]], bool], seconds: float = 60) -> dict[str, Any]:
        """Return the first matching message of the queue `Seen`. Other messages are kept for later calls."""
        sqs = self.client("sqs")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.received_messages:
                if matches(message):
                    return message
            response = sqs.receive_message(QueueUrl=self.outputs["SeenUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in response.get("Messages", []):
                self.received_messages.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.outputs["SeenUrl"], ReceiptHandle=message["ReceiptHandle"])
        raise AssertionError(f"No message matched: {self.received_messages}")


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


def start_cloud(supervisor: Supervisor, state: Path, *options: str) -> SampleCloud:
    port = pick_port("aws", 30566, print)
    api_port = pick_port("api", 30880, print, [port])
    argv = [sys.executable, "-m", "local.aws", "--port", str(port), "--api-port", str(api_port), "--state", str(state)]
    child = supervisor.start(Spec("aws", [*argv, *options], state.parent / "aws.log", restart=False))
    return SampleCloud(state, port, api_port, child)


@pytest.fixture(scope="module")
def cloud(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> SampleCloud:
    cloud = start_cloud(supervisor, tmp_path_factory.mktemp("aws") / "state", "--smtp", f"127.0.0.1:{SMTP_PORT}")
    cloud.deploy()
    return cloud


@pytest.fixture(scope="module")
def tokens(cloud: SampleCloud) -> dict[str, str]:
    return cloud.sign_in("admin@example.com", "admin")


def bearer_headers(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class TestDeployment:
    def test_differences_from_aws_are_reported(self, cloud: SampleCloud) -> None:
        cloud.deploy()
        assert any("Archive (AWS::Events::Archive) was left out" in line for line in cloud.deployment_log)
        assert any("SnapStart" in line for line in cloud.deployment_log)

    def test_intrinsics_and_custom_resources_produce_outputs(self, cloud: SampleCloud) -> None:
        assert cloud.outputs["Parts"] == "b-mapped-plain"
        assert cloud.outputs["SetUpSaid"] == "Create test"

    def test_a_second_deployment_updates_the_changed_resources(
        self, cloud: SampleCloud, tokens: dict[str, str]
    ) -> None:
        assert (
            httpx.get(f"{cloud.api}/extra", headers=bearer_headers(tokens["AccessToken"])).json()["path"]
            == "/api/v1/extra"
        )
        before = cloud.outputs["ApiUrl"]
        cloud.deploy(WithExtras="yes")
        assert cloud.outputs["Parts"] == "b-mapped-extras"
        assert cloud.outputs["ApiUrl"] == before
        assert live_extras(cloud) == ["yes"]
        cloud.deploy()
        assert live_extras(cloud) == ["no"]
        assert cloud.outputs["Parts"] == "b-mapped-plain"

    def test_a_failed_deployment_names_the_resource_and_the_reason(self, cloud: SampleCloud, tmp_path: Path) -> None:
        (tmp_path / "template.yaml").write_text(
            "Resources:\n  Wrong:\n    Type: Custom::Thing\n    Properties: {ServiceToken: no-such-function}\n"
        )
        with pytest.raises(DeploymentFailed, match=r"Wrong \(Custom::Thing\): .*no-such-function"):
            deploy(tmp_path, cloud.endpoint, "broken", {}, print)


def live_extras(cloud: SampleCloud) -> list[str]:
    """Return the values of EXTRAS in the environments of the live aliases, which callers invoke."""
    functions = cloud.client("lambda")
    names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
    configurations = [functions.get_function_configuration(FunctionName=name, Qualifier="live") for name in names]
    return sorted({configuration["Environment"]["Variables"]["EXTRAS"] for configuration in configurations})


class TestHttpApi:
    def test_an_open_route_answers_on_the_clean_url(self, cloud: SampleCloud) -> None:
        response = httpx.get(f"{cloud.api}/health?a=1%202&b=")
        assert response.status_code == 200
        body = response.json()
        assert (body["path"], body["query"], body["jwt"]) == ("/api/v1/health", "a=1%202&b=", None)

    def test_a_request_without_a_token_is_refused_by_the_authorizer(self, cloud: SampleCloud) -> None:
        response = httpx.get(f"{cloud.api}/me")
        assert (response.status_code, response.json()) == (401, {"message": "Unauthorized"})
        assert httpx.get(f"{cloud.api}/me", headers=bearer_headers("a.b.c")).status_code == 401

    def test_claims_of_the_pre_token_trigger_reach_the_function(
        self, cloud: SampleCloud, tokens: dict[str, str]
    ) -> None:
        jwt = httpx.get(f"{cloud.api}/me", headers=bearer_headers(tokens["AccessToken"])).json()["jwt"]
        claims = jwt["claims"]
        assert (claims["tenant_id"], claims["role"], claims["token_use"]) == ("t-1", "admin", "access")
        assert claims["client_id"] == cloud.outputs["ClientId"]
        assert "sample/write" in claims["scope"].split()
        assert "aws.cognito.signin.user.admin" not in claims["scope"].split()

    def test_a_route_with_scopes_refuses_a_token_without_them(self, cloud: SampleCloud, tokens: dict[str, str]) -> None:
        user_tokens = cloud.sign_in("user@example.com", "user")
        assert httpx.get(f"{cloud.api}/scoped", headers=bearer_headers(tokens["AccessToken"])).status_code == 200
        assert httpx.get(f"{cloud.api}/scoped", headers=bearer_headers(user_tokens["AccessToken"])).status_code == 403

    def test_cors_follows_the_template(self, cloud: SampleCloud) -> None:
        preflight_headers = {"origin": "https://app.example", "access-control-request-method": "GET"}
        response = httpx.options(f"{cloud.api}/me", headers=preflight_headers)
        assert response.headers["access-control-allow-origin"] == "https://app.example"
        assert response.headers["access-control-max-age"] == "600"
        other_origin_response = httpx.options(
            f"{cloud.api}/me", headers=preflight_headers | {"origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in other_origin_response.headers

    def test_an_unknown_path_gets_the_gateways_404(self, cloud: SampleCloud) -> None:
        response = httpx.get(f"http://127.0.0.1:{cloud.api_port}/elsewhere")
        assert (response.status_code, response.json()) == (404, {"message": "Not Found"})

    def test_a_failing_function_reveals_nothing_to_the_caller(self, cloud: SampleCloud, tokens: dict[str, str]) -> None:
        response = httpx.get(f"{cloud.api}/raise", headers=bearer_headers(tokens["AccessToken"]))
        assert (response.status_code, response.json()) == (500, {"message": "Internal Server Error"})

    def test_a_refresh_token_returns_a_new_access_token(self, cloud: SampleCloud, tokens: dict[str, str]) -> None:
        cognito = cloud.client("cognito-idp")
        response = cognito.get_tokens_from_refresh_token(
            RefreshToken=tokens["RefreshToken"], ClientId=cloud.outputs["ClientId"]
        )["AuthenticationResult"]
        claims = httpx.get(f"{cloud.api}/me", headers=bearer_headers(response["AccessToken"])).json()["jwt"]["claims"]
        assert claims["tenant_id"] == "t-1"


class TestExecutionEnvironments:
    def test_a_function_sees_its_own_code_first_and_no_server_environment(self, cloud: SampleCloud) -> None:
        body = httpx.get(f"{cloud.api}/health").json()
        assert (body["both"], body["layer"]) == ("function", "layer")
        environment = body["environment"]
        assert (environment["STAGE"], environment["BUS"]) == ("test", "sample-test")
        assert environment["HOME"] is None
        assert environment["GATEWAY_PORT"] is None

    def test_an_error_keeps_its_type_and_the_process_survives(self, cloud: SampleCloud) -> None:
        error, kind = cloud.invoke({"do": "refuse"})
        assert kind == "Unhandled"
        assert (error["errorType"], error["errorMessage"]) == ("Unwelcome", "not you")
        assert "package/worker.py" in error["stackTrace"][0]
        assert len(error["stackTrace"]) == 1
        pids = {cloud.invoke({"do": "sleep", "seconds": 0})[0]}
        cloud.invoke({"do": "refuse"})
        assert cloud.invoke({"do": "sleep", "seconds": 0})[0] in pids

    def test_a_process_that_exits_fails_only_its_own_call(self, cloud: SampleCloud) -> None:
        error, _ = cloud.invoke({"do": "exit"})
        assert error["errorType"] == "Runtime.ExitError"
        assert "exit status 3" in error["errorMessage"]
        error, _ = cloud.invoke({"do": "unserializable"})
        assert error["errorType"] == "Runtime.MarshalError"
        assert cloud.invoke({"still": "there"}) == ({"still": "there"}, None)

    def test_concurrent_calls_get_a_process_each(self, cloud: SampleCloud) -> None:
        cloud.invoke({})
        with ThreadPoolExecutor(4) as pool:
            # Sequential calls would share one process, because it is free again after each call.
            pids = list(pool.map(lambda _: cloud.invoke({"do": "sleep", "seconds": 2})[0], range(4)))
        assert len(set(pids)) == 4

    def test_a_large_event_and_response_are_passed(self, cloud: SampleCloud) -> None:
        large = {"text": "x" * 5_000_000}
        assert cloud.invoke(large) == (large, None)

    def test_function_output_is_in_cloudwatch_logs(self, cloud: SampleCloud) -> None:
        httpx.get(f"{cloud.api}/health")
        logs = cloud.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        (group,) = [name for name in groups if "ApiFunction" in name]
        messages = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        assert "serving /api/v1/health" in messages

    def test_calls_one_after_the_other_start_no_process(self, cloud: SampleCloud) -> None:
        def pids() -> set[int]:
            return {cloud.invoke({"do": "sleep", "seconds": 0})[0] for _ in range(5)}

        assert pids() >= pids()


class TestEvents:
    def test_a_queue_invokes_its_function_and_retries_only_failed_messages(self, cloud: SampleCloud) -> None:
        sqs = cloud.client("sqs")
        bodies = [json.dumps({"good": 1}), json.dumps({"poison": 1}), json.dumps({"good": 2})]
        sqs.send_message_batch(
            QueueUrl=cloud.outputs["QueueUrl"],
            Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)],
        )
        cloud.wait_for_message(lambda message: message.get("good") == 1)
        cloud.wait_for_message(lambda message: message.get("good") == 2)
        deadline = time.monotonic() + 60
        while self._message_count(cloud) != 1:  # only the failed message stays, invisible until its next attempt
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _message_count(self, cloud: SampleCloud) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queue = cloud.outputs["QueueUrl"]
        counts = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in counts.values())

    def test_a_bus_rule_delivers_to_a_queue_and_its_function(self, cloud: SampleCloud) -> None:
        cloud.client("events").put_events(
            Entries=[
                {
                    "EventBusName": cloud.outputs["BusName"],
                    "Source": "sample",
                    "DetailType": "Happened",
                    "Detail": json.dumps({"what": "bus"}),
                }
            ]
        )
        event = cloud.wait_for_message(lambda message: message.get("detail") == {"what": "bus"})
        assert (event["source"], event["detail-type"]) == ("sample", "Happened")

    def test_object_created_events_reach_the_custom_bus(self, cloud: SampleCloud) -> None:
        s3 = cloud.client("s3")
        stored_object = s3.put_object(Bucket=cloud.outputs["BucketName"], Key="in/box.mbox", Body=b"mail")
        event = cloud.wait_for_message(lambda message: message.get("detail-type") == "Object Created")
        assert event["source"] == "aws.s3"
        assert event["detail"]["object"]["key"] == "in/box.mbox"
        assert event["detail"]["object"]["size"] == 4
        assert event["detail"]["object"]["version-id"] == stored_object["VersionId"]

    def test_presigned_requests_upload_objects(self, cloud: SampleCloud) -> None:
        s3 = cloud.client("s3")
        bucket = cloud.outputs["BucketName"]
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "put", "ContentLength": 4})
        assert httpx.put(url, content=b"four").status_code == 200
        post = s3.generate_presigned_post(bucket, "post", Conditions=[["content-length-range", 1, 10]])
        assert httpx.post(post["url"], data=post["fields"], files={"file": b"four"}).status_code == 204
        assert httpx.post(post["url"], data=post["fields"], files={"file": b"x" * 11}).status_code == 400


class TestStateMachine:
    def test_a_state_machine_retries_and_catches_by_name_and_uses_callbacks_and_variables(
        self, cloud: SampleCloud
    ) -> None:
        states = cloud.client("stepfunctions")
        execution_arn = states.start_execution(stateMachineArn=cloud.outputs["MachineArn"], name="one")["executionArn"]
        deadline = time.monotonic() + 60
        while (execution := states.describe_execution(executionArn=execution_arn))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert execution["status"] == "SUCCEEDED", execution.get("cause")
        output = json.loads(execution["output"])
        assert output["steps"]["retried"] == {"calls": 3}
        assert output["steps"]["refused"] == "not you"
        assert output["steps"]["asked"] == "approved"
        assert output["mapped"] == ["1approved", "2approved"]
        assert output["beside"] == ["left approved", "right 3"]
        event = cloud.wait_for_message(
            lambda message: (
                message.get("detail-type") == "Step Functions Execution Status Change"
                and message["detail"]["status"] == "SUCCEEDED"
            )
        )
        assert event["detail"]["executionArn"] == execution_arn


class TestMail:
    def test_mail_waits_for_the_mail_server_and_arrives_unchanged(self, cloud: SampleCloud, tmp_path: Path) -> None:
        ses = cloud.client("ses")
        ses.verify_email_identity(EmailAddress="sender@example.com")
        message = EmailMessage()
        message["From"] = "sender@example.com"
        message["To"] = "reader@example.com"
        message["Subject"] = "Größe"
        message["X-SES-MESSAGE-TAGS"] = "email_id=9"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content("Grüße\n", cte="8bit")
        ses_response = ses.send_raw_email(
            Source="sender@example.com", Destinations=["reader@example.com"], RawMessage={"Data": bytes(message)}
        )
        argv = [
            sys.executable, "-m", "local.mail_sink", "--port", str(SMTP_PORT), "--http-port", str(MAIL_PORT),
            "--dir", str(tmp_path / "mail"), "--events-endpoint", cloud.endpoint, "--bus", cloud.outputs["BusName"],
            "--source", "sample",
        ]  # fmt: skip
        mails = f"http://127.0.0.1:{MAIL_PORT}/messages"
        with Supervisor() as supervisor:
            supervisor.start(Spec("mail sink", argv, tmp_path / "log"))
            event = cloud.wait_for_message(lambda message: message.get("detail-type") == "Email Sent")
            assert event["detail"]["mail"]["messageId"] == ses_response["MessageId"]
            assert event["detail"]["mail"]["tags"]["email_id"] == ["9"]
            (stored_mail,) = httpx.get(mails, timeout=60).json()
            assert stored_mail["id"] == ses_response["MessageId"]
            raw = httpx.get(f"{mails}/{stored_mail['id']}", timeout=60).content
        assert "Grüße".encode() in raw
        assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in raw


def test_the_emulator_stops_cleanly_and_keeps_its_state(supervisor: Supervisor, cloud: SampleCloud) -> None:
    """This must be the last test that uses `cloud`, because it stops the emulator."""
    lambda_client = cloud.client("lambda")
    layers = lambda_client.list_layers()["Layers"]
    saved_layer = layers[0]["LatestMatchingVersion"]["LayerVersionArn"]
    digest = lambda_client.get_layer_version_by_arn(Arn=saved_layer)["Content"]["CodeSha256"]
    cloud.child.process.send_signal(signal.SIGTERM)
    assert cloud.child.process.wait(60) == 0
    # The content of layers is saved in files, not inside the JSON document.
    assert "__bytes__" not in (cloud.state / "services/lambda.json").read_text()
    restarted_cloud = start_cloud(supervisor, cloud.state)
    assert httpx.get(f"{restarted_cloud.api}/health").status_code == 200
    url = restarted_cloud.client("lambda").get_layer_version_by_arn(Arn=saved_layer)["Content"]["Location"]
    content = httpx.get(f"{restarted_cloud.endpoint}{httpx.URL(url).raw_path.decode()}").content
    assert b64encode(sha256(content).digest()).decode() == digest
    restarted_cloud.deploy()
    assert restarted_cloud.outputs == cloud.outputs


def test_the_emulator_exits_when_its_parent_is_killed(tmp_path: Path) -> None:
    port = pick_port("aws", 30666, print)
    script = (
        "import sys, time; from pathlib import Path; from local.processes import Spec, Supervisor\n"
        "supervisor = Supervisor()\n"
        f"argv = [sys.executable, '-m', 'local.aws', '--port', '{port}', '--api-port', '{port + 1}',"
        f" '--state', '{tmp_path / 'state'}']\n"
        f"child = supervisor.start(Spec('aws', argv, Path('{tmp_path / 'log'}')))\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
