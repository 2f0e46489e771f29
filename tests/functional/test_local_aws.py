"""The AWS half of the local cloud, with a small template that uses each part of AWS that ours uses."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.aws.deploy import DeploymentFailed, deploy, session
from local.ports import pick
from local.processes import Child, Spec, Supervisor

SAMPLE = Path(__file__).with_name("sample_app")


@dataclass
class Cloud:
    """A running emulator with the sample deployed."""

    state: Path
    port: int
    api_port: int
    child: Child
    outputs: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}/api/v1"

    def client(self, service: str) -> Any:
        return session(self.endpoint)(service)

    def deploy(self, **parameters: str) -> None:
        self.said.clear()
        self.outputs = deploy(SAMPLE, self.endpoint, "sample", {"Stage": "test"} | parameters, self.said.append)

    def sign_in(self, username: str, role: str) -> dict[str, str]:
        cognito = self.client("cognito-idp")
        pool = self.outputs["UserPoolId"]
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=username,
            UserAttributes=[{"Name": "custom:tenant_id", "Value": "t-1"}, {"Name": "custom:role", "Value": role}],
        )
        cognito.admin_set_user_password(UserPoolId=pool, Username=username, Password="Pa55word!x", Permanent=True)
        answer = cognito.initiate_auth(
            ClientId=self.outputs["ClientId"],
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": "Pa55word!x"},
        )
        tokens: dict[str, str] = answer["AuthenticationResult"]
        return tokens

    def invoke(self, payload: Any, name: str = "TaskName") -> tuple[Any, Any]:
        """The function's answer and, where it failed, the kind of failure."""
        answer = self.client("lambda").invoke(FunctionName=self.outputs[name], Payload=json.dumps(payload))
        return json.loads(answer["Payload"].read()), answer.get("FunctionError")

    def wait_seen(self, matches: Callable[[dict[str, Any]], bool], seconds: float = 15) -> dict[str, Any]:
        """The first message that reached the queue `Seen` and matches; the others are kept for later calls."""
        sqs = self.client("sqs")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.received:
                if matches(message):
                    return message
            got = sqs.receive_message(QueueUrl=self.outputs["SeenUrl"], MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in got.get("Messages", []):
                self.received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.outputs["SeenUrl"], ReceiptHandle=message["ReceiptHandle"])
        raise AssertionError(f"nothing matched among {self.received}")


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


def start(supervisor: Supervisor, state: Path, *options: str) -> Cloud:
    port = pick("aws", 54566, print)
    api_port = pick("api", 58080, print, [port])
    argv = [sys.executable, "-m", "local.aws", "--port", str(port), "--api-port", str(api_port), "--state", str(state)]
    child = supervisor.start(Spec("aws", [*argv, *options], state.parent / "aws.log", restart=False))
    return Cloud(state, port, api_port, child)


@pytest.fixture(scope="module")
def cloud(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    cloud = start(supervisor, tmp_path_factory.mktemp("aws") / "state", "--smtp", "127.0.0.1:52526")
    cloud.deploy()
    return cloud


@pytest.fixture(scope="module")
def tokens(cloud: Cloud) -> dict[str, str]:
    return cloud.sign_in("admin@example.com", "admin")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class TestDeployment:
    def test_what_is_otherwise_than_on_aws_is_said(self, cloud: Cloud) -> None:
        cloud.deploy()
        assert any("Archive (AWS::Events::Archive) was left out" in line for line in cloud.said)
        assert any("SnapStart" in line for line in cloud.said)

    def test_intrinsics_and_custom_resources_give_outputs(self, cloud: Cloud) -> None:
        assert cloud.outputs["Parts"] == "b-mapped-plain"
        assert cloud.outputs["SetUpSaid"] == "Create test"

    def test_a_second_deployment_updates_what_changed(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        assert httpx.get(f"{cloud.api}/extra", headers=bearer(tokens["AccessToken"])).json()["path"] == "/api/v1/extra"
        before = cloud.outputs["ApiUrl"]
        cloud.deploy(WithExtras="yes")
        assert cloud.outputs["Parts"] == "b-mapped-extras"
        assert cloud.outputs["ApiUrl"] == before
        assert served_extras(cloud) == ["yes"]
        cloud.deploy()
        assert served_extras(cloud) == ["no"]
        assert cloud.outputs["Parts"] == "b-mapped-plain"

    def test_a_failure_names_the_resource_and_the_reason(self, cloud: Cloud, tmp_path: Path) -> None:
        (tmp_path / "template.yaml").write_text(
            "Resources:\n  Wrong:\n    Type: Custom::Thing\n    Properties: {ServiceToken: no-such-function}\n"
        )
        with pytest.raises(DeploymentFailed, match=r"Wrong \(Custom::Thing\): .*no-such-function"):
            deploy(tmp_path, cloud.endpoint, "broken", {}, print)


def served_extras(cloud: Cloud) -> list[str]:
    """A parameter's value in the environment of what the aliases name, which callers meet."""
    functions = cloud.client("lambda")
    names = [each["FunctionName"] for each in functions.list_functions()["Functions"]]
    served = [functions.get_function_configuration(FunctionName=name, Qualifier="live") for name in names]
    return sorted({each["Environment"]["Variables"]["EXTRAS"] for each in served})


class TestHttpApi:
    def test_an_open_route_on_the_clean_url(self, cloud: Cloud) -> None:
        answer = httpx.get(f"{cloud.api}/health?a=1%202&b=")
        assert answer.status_code == 200
        body = answer.json()
        assert (body["path"], body["query"], body["jwt"]) == ("/api/v1/health", "a=1%202&b=", None)

    def test_without_a_token_the_authorizer_answers(self, cloud: Cloud) -> None:
        answer = httpx.get(f"{cloud.api}/me")
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})
        assert httpx.get(f"{cloud.api}/me", headers=bearer("a.b.c")).status_code == 401

    def test_claims_of_the_pre_token_trigger_reach_the_function(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        jwt = httpx.get(f"{cloud.api}/me", headers=bearer(tokens["AccessToken"])).json()["jwt"]
        claims = jwt["claims"]
        assert (claims["tenant_id"], claims["role"], claims["token_use"]) == ("t-1", "admin", "access")
        assert claims["client_id"] == cloud.outputs["ClientId"]
        assert "sample/write" in claims["scope"].split()
        assert "aws.cognito.signin.user.admin" not in claims["scope"].split()

    def test_a_route_with_scopes(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        user = cloud.sign_in("user@example.com", "user")
        assert httpx.get(f"{cloud.api}/scoped", headers=bearer(tokens["AccessToken"])).status_code == 200
        assert httpx.get(f"{cloud.api}/scoped", headers=bearer(user["AccessToken"])).status_code == 403

    def test_cors_is_what_the_template_says(self, cloud: Cloud) -> None:
        ask = {"origin": "https://app.example", "access-control-request-method": "GET"}
        answer = httpx.options(f"{cloud.api}/me", headers=ask)
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-max-age"] == "600"
        other = httpx.options(f"{cloud.api}/me", headers=ask | {"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers

    def test_an_unknown_path_is_the_gateways_404(self, cloud: Cloud) -> None:
        answer = httpx.get(f"http://127.0.0.1:{cloud.api_port}/elsewhere")
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})

    def test_a_failing_function_tells_the_caller_nothing(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        answer = httpx.get(f"{cloud.api}/raise", headers=bearer(tokens["AccessToken"]))
        assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})

    def test_refresh(self, cloud: Cloud, tokens: dict[str, str]) -> None:
        cognito = cloud.client("cognito-idp")
        answer = cognito.get_tokens_from_refresh_token(
            RefreshToken=tokens["RefreshToken"], ClientId=cloud.outputs["ClientId"]
        )["AuthenticationResult"]
        claims = httpx.get(f"{cloud.api}/me", headers=bearer(answer["AccessToken"])).json()["jwt"]["claims"]
        assert claims["tenant_id"] == "t-1"


class TestSandboxes:
    def test_a_function_sees_its_own_code_first_and_nothing_of_the_server(self, cloud: Cloud) -> None:
        body = httpx.get(f"{cloud.api}/health").json()
        assert (body["both"], body["layer"]) == ("function", "layer")
        environment = body["environment"]
        assert (environment["STAGE"], environment["BUS"]) == ("test", "sample-test")
        assert environment["HOME"] is None
        assert environment["GATEWAY_PORT"] is None

    def test_an_error_keeps_its_type_and_the_process_lives_on(self, cloud: Cloud) -> None:
        error, kind = cloud.invoke({"do": "refuse"})
        assert kind == "Unhandled"
        assert (error["errorType"], error["errorMessage"]) == ("Unwelcome", "not you")
        assert "package/worker.py" in error["stackTrace"][0]
        assert len(error["stackTrace"]) == 1
        pids = {cloud.invoke({"do": "sleep", "seconds": 0})[0]}
        cloud.invoke({"do": "refuse"})
        assert cloud.invoke({"do": "sleep", "seconds": 0})[0] in pids

    def test_a_process_that_ends_or_hangs_fails_its_own_call_alone(self, cloud: Cloud) -> None:
        error, _ = cloud.invoke({"do": "exit"})
        assert error["errorType"] == "Runtime.ExitError"
        assert "exit status 3" in error["errorMessage"]
        error, _ = cloud.invoke({"do": "unserializable"})
        assert error["errorType"] == "Runtime.MarshalError"
        assert cloud.invoke({"still": "there"}) == ({"still": "there"}, None)

    def test_calls_at_the_same_time_get_a_process_each(self, cloud: Cloud) -> None:
        cloud.invoke({})
        with ThreadPoolExecutor(4) as pool:
            # One after the other they would be given the same process, which is free again by then.
            pids = list(pool.map(lambda _: cloud.invoke({"do": "sleep", "seconds": 2})[0], range(4)))
        assert len(set(pids)) == 4

    def test_a_large_event_and_answer(self, cloud: Cloud) -> None:
        large = {"text": "x" * 5_000_000}
        assert cloud.invoke(large) == (large, None)

    def test_what_a_function_prints_is_in_cloudwatch_logs(self, cloud: Cloud) -> None:
        httpx.get(f"{cloud.api}/health")
        logs = cloud.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        (group,) = [name for name in groups if "ApiFunction" in name]
        messages = [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]
        assert "serving /api/v1/health" in messages

    def test_warm_calls_are_quick(self, cloud: Cloud) -> None:
        with httpx.Client() as client:
            took = []
            for _ in range(50):
                begun = time.perf_counter()
                client.get(f"{cloud.api}/health")
                took.append(time.perf_counter() - begun)
        assert sorted(took)[25] < 0.05


class TestEvents:
    def test_queue_to_function_with_partial_failures(self, cloud: Cloud) -> None:
        sqs = cloud.client("sqs")
        bodies = [json.dumps({"good": 1}), json.dumps({"poison": 1}), json.dumps({"good": 2})]
        sqs.send_message_batch(
            QueueUrl=cloud.outputs["QueueUrl"],
            Entries=[{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)],
        )
        cloud.wait_seen(lambda message: message.get("good") == 1)
        cloud.wait_seen(lambda message: message.get("good") == 2)
        deadline = time.monotonic() + 5
        while self._waiting(cloud) != 1:  # only what failed stays, invisible until its next try
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _waiting(self, cloud: Cloud) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        queue = cloud.outputs["QueueUrl"]
        counts = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(count) for count in counts.values())

    def test_bus_rule_to_queue_to_function(self, cloud: Cloud) -> None:
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
        event = cloud.wait_seen(lambda message: message.get("detail") == {"what": "bus"})
        assert (event["source"], event["detail-type"]) == ("sample", "Happened")

    def test_new_objects_are_told_on_the_default_bus_and_carried_to_ours(self, cloud: Cloud) -> None:
        s3 = cloud.client("s3")
        put = s3.put_object(Bucket=cloud.outputs["BucketName"], Key="in/box.mbox", Body=b"mail")
        event = cloud.wait_seen(lambda message: message.get("detail-type") == "Object Created")
        assert event["source"] == "aws.s3"
        assert event["detail"]["object"]["key"] == "in/box.mbox"
        assert event["detail"]["object"]["size"] == 4
        assert event["detail"]["object"]["version-id"] == put["VersionId"]

    def test_uploads_with_presigned_requests(self, cloud: Cloud) -> None:
        s3 = cloud.client("s3")
        bucket = cloud.outputs["BucketName"]
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "put", "ContentLength": 4})
        assert httpx.put(url, content=b"four").status_code == 200
        post = s3.generate_presigned_post(bucket, "post", Conditions=[["content-length-range", 1, 10]])
        assert httpx.post(post["url"], data=post["fields"], files={"file": b"four"}).status_code == 204
        assert httpx.post(post["url"], data=post["fields"], files={"file": b"x" * 11}).status_code == 400


class TestStateMachine:
    def test_retry_and_catch_by_name_callbacks_and_variables(self, cloud: Cloud) -> None:
        states = cloud.client("stepfunctions")
        run = states.start_execution(stateMachineArn=cloud.outputs["MachineArn"], name="one")["executionArn"]
        deadline = time.monotonic() + 30
        while (told := states.describe_execution(executionArn=run))["status"] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert told["status"] == "SUCCEEDED", told.get("cause")
        output = json.loads(told["output"])
        assert output["steps"]["retried"] == {"calls": 3}
        assert output["steps"]["refused"] == "not you"
        assert output["steps"]["asked"] == "approved"
        assert output["mapped"] == ["1approved", "2approved"]
        assert output["beside"] == ["left approved", "right 3"]
        event = cloud.wait_seen(
            lambda message: (
                message.get("detail-type") == "Step Functions Execution Status Change"
                and message["detail"]["status"] == "SUCCEEDED"
            )
        )
        assert event["detail"]["executionArn"] == run


class TestMail:
    def test_mail_waits_for_the_server_and_arrives_whole(self, cloud: Cloud, tmp_path: Path) -> None:
        ses = cloud.client("ses")
        ses.verify_email_identity(EmailAddress="sender@example.com")
        message = EmailMessage()
        message["From"] = "sender@example.com"
        message["To"] = "reader@example.com"
        message["Subject"] = "Größe"
        message["X-SES-MESSAGE-TAGS"] = "email_id=9"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content("Grüße\n", cte="8bit")
        sent = ses.send_raw_email(
            Source="sender@example.com", Destinations=["reader@example.com"], RawMessage={"Data": bytes(message)}
        )
        argv = [
            sys.executable, "-m", "local.mail_sink", "--port", "52526", "--http-port", "52581",
            "--dir", str(tmp_path / "mail"), "--events-endpoint", cloud.endpoint, "--bus", cloud.outputs["BusName"],
            "--source", "sample",
        ]  # fmt: skip
        with Supervisor() as supervisor:
            supervisor.start(Spec("mail sink", argv, tmp_path / "log"))
            event = cloud.wait_seen(lambda message: message.get("detail-type") == "Email Sent")
            assert event["detail"]["mail"]["messageId"] == sent["MessageId"]
            assert event["detail"]["mail"]["tags"]["email_id"] == ["9"]
            (kept,) = httpx.get("http://127.0.0.1:52581/messages").json()
            assert kept["id"] == sent["MessageId"]
            raw = httpx.get(f"http://127.0.0.1:52581/messages/{kept['id']}").content
        assert "Grüße".encode() in raw
        assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in raw


def test_it_stops_cleanly_and_keeps_its_state(supervisor: Supervisor, cloud: Cloud) -> None:
    """The last test of `cloud`, which it stops."""
    cloud.child.process.send_signal(signal.SIGTERM)
    assert cloud.child.process.wait(15) == 0
    again = start(supervisor, cloud.state)
    assert httpx.get(f"{again.api}/health").status_code == 200
    again.deploy()
    assert again.outputs == cloud.outputs


def test_it_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    port = pick("aws", 54666, print)
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
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
