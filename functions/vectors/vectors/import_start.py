"""Uploads that have arrived: from the bucket's events, by way of a queue, to the import's state machine."""

from functools import cache
from uuid import UUID

from email_sender.adapters.postgres.directory import Directory
from email_sender.errors import NotFound
from email_sender.kit.envelopes import ObjectCreated
from email_sender.kit.queues import queue_handler
from email_sender.kit.resources import platform_database
from email_sender.kit.telemetry import logger
from vectors.bootstrap import import_service


@cache
def _directory() -> Directory:
    return Directory(platform_database())


def start(event: ObjectCreated) -> None:
    """The tenant is the import's, from its row; the object's key only says which import."""
    uploaded = event.detail.object
    named, _, part = uploaded.key.removeprefix("imports/").partition("/")
    try:
        import_id = UUID(named)
    except ValueError:
        logger.warning("an object that no import announced")
        return
    tenant_id = _directory().tenant_of_import(import_id)
    if tenant_id is None:
        logger.warning("an object of no import", import_id=str(import_id))
        return
    arrived = import_service().payloads_uploaded if part == "payloads" else import_service().uploaded
    try:
        arrived(tenant_id, import_id, uploaded.version, uploaded.size)
    except NotFound:
        logger.warning("the import is gone", import_id=str(import_id))


handler = queue_handler(ObjectCreated, start)
