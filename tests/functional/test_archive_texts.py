"""Texts and passages of archived messages, for points that are embedded again and for searches."""

from array import array
from collections.abc import Callable
from uuid import UUID, uuid4

from email_sender.adapters.mail.text_cleaner import MailTextCleaner
from email_sender.adapters.postgres.archive import PostgresArchiveUnits
from email_sender.adapters.postgres.archive_texts import ArchiveTexts
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.message_candidates import PostgresCandidates, PostgresPassages
from email_sender.adapters.qdrant.ids import CLIENT_ID, encode_client_id
from email_sender.archive.message_parser import parse
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.imports.model import Import, ImportStatus, IncomingMessage
from email_sender.vectors.jobs.transfer import TENANT_KEY, StoredPoint
from email_sender.vectors.model import ClientId, engine_id
from tests.database import Cluster

MAIL = b"""From: Ada <ada@example.org>
To: list@example.org
Message-ID: <%s@example.org>
Date: Mon, 02 Sep 2002 10:00:00 +0000
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=

%s
"""


def archive_message(cluster: Cluster, database: Database, tenant: UUID, text: bytes) -> UUID:
    """Archive one message and return its id."""
    upload = Import(new_id(), ImportStatus.PROCESSING, "m.mbox", 1, "k", "ann", now())
    message = parse(MAIL % (uuid4().hex.encode(), text), MailTextCleaner())
    with PostgresArchiveUnits(database, cluster.vault(database), None)(tenant) as unit:
        unit.add(upload)
        (stored_message,) = unit.archive(upload.id, [IncomingMessage(0, message, message.author)])
        unit.commit()
    return stored_message.message_id


def message_point(tenant: UUID, client_id: ClientId) -> StoredPoint:
    payload = {TENANT_KEY: str(tenant), CLIENT_ID: encode_client_id(client_id)}
    return StoredPoint(str(engine_id(tenant, "message_vectors", client_id)), array("f"), payload)


def test_each_message_is_decrypted_with_its_tenants_keys(cluster: Cluster, new_tenant: Callable[[], UUID]) -> None:
    # One connection, as in an execution environment.
    database = cluster.database("app", size=1)
    tenant, other_tenant = new_tenant(), new_tenant()
    message_id, other_message_id = (
        archive_message(cluster, database, tenant, b"the first"),
        archive_message(cluster, database, other_tenant, b"the second"),
    )
    points = [
        message_point(tenant, message_id),
        message_point(other_tenant, other_message_id),
        message_point(tenant, uuid4()),
        message_point(tenant, 7),
        message_point(tenant, other_message_id),
    ]
    texts = ArchiveTexts(database, cluster.vault(database)).texts_of(points)
    # There is no text for an unknown message, a numeric id, or another tenant's message.
    assert texts == {points[0].id: "Grüße\nthe first", points[1].id: "Grüße\nthe second"}


def test_a_search_reads_messages_with_the_passages_of_its_model(
    cluster: Cluster, new_tenant: Callable[[], UUID]
) -> None:
    database = cluster.database("app", size=1)
    tenant, other_tenant = new_tenant(), new_tenant()
    message_id = archive_message(cluster, database, tenant, b"the first")
    other_message_id = archive_message(cluster, database, other_tenant, b"the second")
    archive = PostgresCandidates(database, cluster.vault(database))
    passages = PostgresPassages(database)
    passages.save(tenant, "model a", {message_id: b"packed", uuid4(): b"deleted meanwhile"})
    # A tenant can neither write to nor read from messages of another.
    passages.save(tenant, "model a", {other_message_id: b"stolen"})

    ids = [message_id, other_message_id, uuid4()]
    candidates = archive.read(tenant, ids, "model a")
    assert list(candidates) == [message_id]
    candidate = candidates[message_id]
    assert (candidate.subject, candidate.text, candidate.passages) == ("Grüße", "the first", b"packed")
    assert (candidate.sender_name, candidate.sender_email) == ("Ada", "ada@example.org")
    assert (candidate.kind, candidate.refers_to_others) == ("person", False)
    assert archive.read(tenant, ids, "model b")[message_id].passages is None
    assert archive.read(other_tenant, ids, "model a")[other_message_id].passages is None
    assert archive.read(tenant, [], "model a") == {}

    passages.save(tenant, "model b", {message_id: b"again"})
    assert archive.read(tenant, ids, "model a")[message_id].passages is None
    assert archive.read(tenant, ids, "model b")[message_id].passages == b"again"
