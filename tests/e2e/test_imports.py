"""Mailboxes as they come: twice, broken, huge, or no mailboxes at all."""

import httpx
import pytest

from local.client import ApiError
from tests.conftest import Platform
from tests.e2e import steps
from tests.fakes import mailboxes


def counts(platform: Platform) -> tuple[int, int, int]:
    client = platform["user@globex"]
    points = next(
        each["count"] for each in client.get("/vectors/collections")["items"] if each["name"] == "message_vectors"
    )
    tenant = next(user.tenant_id for user in platform.users if user.tenant == "globex")
    (row,) = platform.look(
        "select (select count(*) from email_sender.messages where tenant_id = %s) as messages, "
        "(select count(*) from email_sender.contacts where tenant_id = %s) as contacts",
        tenant,
        tenant,
    )
    return points, row["messages"], row["contacts"]


def test_the_same_mailbox_twice_changes_nothing(platform: Platform) -> None:
    content = mailboxes.ordinary(21)
    first = steps.import_mailbox(platform["user@globex"], content)
    before = counts(platform)
    second = steps.import_mailbox(platform["user@globex"], content)
    assert first["progress"]["stored"] == 21
    assert (second["progress"]["stored"], second["progress"]["duplicates"]) == (0, 21)
    assert counts(platform) == before


def test_a_broken_message_stops_none_of_the_others(platform: Platform) -> None:
    content = b"".join(
        [
            mailboxes.ordinary(3),
            mailboxes.no_headers(),
            mailboxes.truncated_mime(),
            mailboxes.wrong_charset(),
            mailboxes.large_attachment(),
        ]
    )
    done = steps.import_mailbox(platform["user@globex"], content, seconds=120)
    assert done["status"] == "completed", done["error"]
    assert done["progress"]["messages"] == 9
    assert done["progress"]["failed"] == 1
    assert [each["message"] for each in done["errors"]["items"]] == [3]
    assert "headers" in done["errors"]["items"][0]["reason"]


@pytest.mark.parametrize("content", [mailboxes.not_an_mbox(), b"\n\n\n"], ids=["a text", "empty lines"])
def test_what_is_no_mailbox_fails_with_a_sentence(platform: Platform, content: bytes) -> None:
    done = steps.import_mailbox(platform["user@globex"], content)
    assert done["status"] == "failed"
    assert 10 < len(done["error"]) < 300
    assert "Traceback" not in done["error"]
    assert "{" not in done["error"]


def test_an_empty_file_is_refused_before_it_is_sent(platform: Platform) -> None:
    with pytest.raises(ApiError) as refused:
        platform["user@globex"].post("/vectors/imports", {"file_name": "empty.mbox", "size_bytes": 0})
    assert refused.value.status == 422


def test_a_file_of_another_size_than_announced_starts_nothing(platform: Platform) -> None:
    client = platform["user@globex"]
    created = client.post("/vectors/imports", {"file_name": "short.mbox", "size_bytes": 10})
    httpx.put(created["upload"]["url"], content=mailboxes.ordinary(2), timeout=30)
    later = steps.import_mailbox(client, mailboxes.ordinary(1))
    # A later upload has gone all the way, so the earlier one's event was consumed too.
    assert later["status"] == "completed"
    assert client.get(f"/vectors/imports/{created['job_id']}")["status"] == "awaiting_upload"


def test_an_object_that_no_import_announced_is_nobodys(platform: Platform) -> None:
    s3 = platform.aws("s3")
    before = platform.look("select count(*) as number from email_sender.imports")
    s3.put_object(Bucket=platform.cloud.outputs["UploadsBucket"], Key="imports/not-a-uuid", Body=b"x")
    s3.put_object(
        Bucket=platform.cloud.outputs["UploadsBucket"],
        Key="imports/01930000-0000-7000-8000-0000000000ff",
        Body=b"x",
    )
    done = steps.import_mailbox(platform["user@globex"], mailboxes.ordinary(1))
    assert done["status"] == "completed"
    after = platform.look("select count(*) as number from email_sender.imports")
    assert after[0]["number"] == before[0]["number"] + 1
