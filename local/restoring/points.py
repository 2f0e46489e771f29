"""The collections of a backup, into an engine that is empty."""

from collections.abc import Callable, Mapping

from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.settings import Placement
from email_sender.backups.model import CollectionDump
from email_sender.vectors.job_model import PartDone
from email_sender.vectors.jobs import total
from email_sender.vectors.model import collections
from email_sender.vectors.transfer import PARTS, Transfer, keep_vectors
from local.restoring import NotRestorable
from local.restoring.files import BackupFolder, PointsOfFolder, Report


def load(channel: Channel, folder: BackupFolder, dumped: Mapping[str, CollectionDump], report: Report) -> None:
    """Each collection as it was served, under the engine's name that it had.

    Raises:
        NotRestorable: what the engine has then is not what the manifest says.
    """
    models = {name: (each.served.model, each.served.size) for name, each in dumped.items() if each.served.model}
    engine = QdrantCopying(lambda: channel, collections(models), Placement())
    for name, each in dumped.items():
        _load(engine, folder, each)
        report(f"restored: {each.points} points of {name}")


def _load(engine: QdrantCopying, folder: BackupFolder, dumped: CollectionDump) -> None:
    served = dumped.served
    engine.make(served)
    target = engine.points(served.stored_as)
    transfer = Transfer(PointsOfFolder(folder, list(dumped.objects)), target, keep_vectors(served), served)
    written = _all_parts(transfer.copy)
    compared = _all_parts(lambda done: transfer.compare(done, lambda _points: frozenset()))
    reason = written.reason or compared.reason
    found = (written.points, compared.points, target.count(), compared.checksum)
    if reason or found != (dumped.points, dumped.points, dumped.points, dumped.checksum):
        raise NotRestorable(
            f"{served.name}: {found[2]} points are there, and the manifest says {dumped.points}. {reason or ''}".strip()
        )
    engine.alias(served)


def _all_parts(work: Callable[[PartDone], PartDone]) -> PartDone:
    parts = []
    for ordinal in range(PARTS):
        done = PartDone(ordinal)
        while not done.done:
            done = work(done)
        parts.append(done)
    return total(parts)
