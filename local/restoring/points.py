"""The collections of a backup, into an engine that is empty."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from email_sender.adapters.embeddings import WordLlamaEmbedder
from email_sender.adapters.qdrant.channel import Channel
from email_sender.adapters.qdrant.copying import QdrantCopying
from email_sender.adapters.qdrant.settings import Placement
from email_sender.backups.model import CollectionDump
from email_sender.vectors.job_model import PartDone
from email_sender.vectors.jobs import ARCHIVED, total
from email_sender.vectors.model import collections
from email_sender.vectors.serving import Served
from email_sender.vectors.transfer import PARTS, Convert, Stored, Texts, Transfer, embed_again, keep_vectors
from local.restoring import NotRestorable
from local.restoring.files import BackupFolder, PointsOfFolder, Report

# The local cloud's.
_MODEL = WordLlamaEmbedder()


@dataclass(frozen=True, slots=True)
class _Way:
    """What a collection becomes here. `left` are points that cannot be made, since their text is not stored."""

    served: Served
    convert: Convert
    left: Callable[[Sequence[Stored]], frozenset[str]] = lambda _points: frozenset()


def load(
    channel: Channel, folder: BackupFolder, dumped: Mapping[str, CollectionDump], archive: Texts, report: Report
) -> list[Served]:
    """Each collection under the engine's name that it had. Returns what is served now.

    Messages that were embedded by a model that is not here are embedded anew, from `archive`; of another collection the
    vectors stay, and texts are not embedded for it any more.

    Raises:
        NotRestorable: what the engine has then is not what the manifest says.
    """
    ways = {name: _way(each.served, archive) for name, each in dumped.items()}
    models = {name: (each.served.model, each.served.size) for name, each in ways.items() if each.served.model}
    engine = QdrantCopying(lambda: channel, collections(models), Placement())
    for name, way in ways.items():
        left = _load(engine, folder, dumped[name], way)
        anew = "" if way.served == dumped[name].served else f", as of the model {way.served.model}"
        report(f"restored: {dumped[name].points - left} points of {name}{anew}")
        if left:
            report(f"left out: {left} points of {name}, whose messages were not there yet")
    return [each.served for each in ways.values()]


def _way(served: Served, archive: Texts) -> _Way:
    if served.model in (None, _MODEL.model):
        return _Way(served, keep_vectors(served))
    if served.name != ARCHIVED:
        kept = replace(served, model=None, lexical=False)
        return _Way(kept, keep_vectors(kept))
    anew = replace(served, model=_MODEL.model, size=_MODEL.size, lexical=True)

    def left(points: Sequence[Stored]) -> frozenset[str]:
        return frozenset(each.id for each in points) - archive.of(points).keys()

    return _Way(anew, embed_again(anew, _MODEL, archive), left)


def _load(engine: QdrantCopying, folder: BackupFolder, dumped: CollectionDump, way: _Way) -> int:
    """How many points were left out."""
    engine.make(way.served)
    target = engine.points(way.served.stored_as)
    transfer = Transfer(PointsOfFolder(folder, list(dumped.objects)), target, way.convert, way.served)
    written = _all_parts(transfer.copy)
    compared = _all_parts(lambda done: transfer.compare(done, way.left))
    left = written.failed if way.served != dumped.served else 0
    found = (written.points, compared.points, target.count(), compared.failed)
    if found != (dumped.points - left, dumped.points, dumped.points - left, 0):
        raise NotRestorable(
            f"{dumped.served.name}: {found[2]} points are there of {dumped.points}; {written.reason or compared.reason}"
        )
    engine.alias(way.served)
    return left


def _all_parts(work: Callable[[PartDone], PartDone]) -> PartDone:
    parts = []
    for ordinal in range(PARTS):
        done = PartDone(ordinal)
        while not done.done:
            done = work(done)
        parts.append(done)
    return total(parts)
