"""Imports of vectors on a real PostgreSQL: announced, arrived, planned, worked, finished."""

from concurrent.futures import ThreadPoolExecutor
from typing import cast
from uuid import UUID

import pytest

from email_sender.adapters.point_files import readers
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.errors import InvalidInput, NotFound
from email_sender.kit.ambient import new_id, now
from email_sender.vectors.bulk_model import Part
from email_sender.vectors.bulk_work import BulkPlan, BulkWork
from email_sender.vectors.import_model import Format, ImportKind, ImportStatus, Progress
from email_sender.vectors.import_work import ImportSteps
from email_sender.vectors.imports import ImportService, VectorFile
from email_sender.vectors.ports import VectorIndex
from tests.fakes.bulk import SMALL, MemoryIndex, MemoryUploads

GOOD = b'{"vector": [1, 2, 3, 4]}\n'


class Engine:
    def __init__(self) -> None:
        self.started: list[tuple[ImportKind, UUID]] = []

    def start_import(self, kind: ImportKind, import_id: UUID, tenant_id: UUID) -> str:
        self.started.append((kind, import_id))
        return f"execution:{import_id}"

    def is_running(self, execution: str) -> bool:
        return True


class World:
    def __init__(self, tenant: UUID, database: Database) -> None:
        self.tenant, self.units = tenant, PostgresImportUnits(database, None)
        self.uploads, self.engine, self.index = MemoryUploads(), Engine(), MemoryIndex()
        known = {SMALL.name: SMALL}
        self.service = ImportService(self.units, self.uploads, lambda: self.engine, lambda: known, now, new_id)
        self.steps = ImportSteps(self.units, self.uploads, now, new_id)
        self.plan = BulkPlan(self.units, self.uploads, self.uploads, known, readers())
        self.work = BulkWork(
            self.units,
            self.uploads,
            cast("VectorIndex", self.index),
            known,
            readers(),
            self.steps,
        )

    def announce(self, size: int, kind: Format = Format.NDJSON, payloads: int | None = None) -> UUID:
        target = VectorFile(SMALL.name, kind, payloads)
        return self.service.create_of_vectors(self.tenant, new_id(), "file", size, "me", target)[0].id

    def arrived(self, content: bytes) -> UUID:
        """Announced and uploaded."""
        import_id = self.announce(len(content))
        self.uploads.files[f"imports/{import_id}"] = content
        self.service.uploaded(self.tenant, import_id, "v1", len(content))
        return import_id

    def status(self, import_id: UUID) -> ImportStatus:
        return self.service.get(self.tenant, import_id)[0].status


@pytest.fixture
def world(tenant: UUID, app_role: Database) -> World:
    return World(tenant, app_role)


def test_from_an_announcement_to_its_end(world: World) -> None:
    import_id = world.arrived(GOOD * 10)
    assert world.engine.started == [(ImportKind.VECTORS, import_id)]
    world.plan.plan(world.tenant, import_id)
    assert world.work.work(world.tenant, import_id, Part(0, 0, 10_000)) == Progress(1, 10, 10, 0, 0)
    assert world.work.work(world.tenant, import_id, Part(0, 0, 10_000)) == Progress(1, 10, 10, 0, 0)
    assert world.steps.finish(world.tenant, import_id) == Progress(1, 10, 10, 0, 0)
    found, progress = world.service.get(world.tenant, import_id)
    assert (found.status, found.kind, found.collection, found.format) == (
        ImportStatus.COMPLETED, ImportKind.VECTORS, SMALL.name, Format.NDJSON,
    )  # fmt: skip
    assert progress.stored == len(world.index.points) == 10


@pytest.mark.parametrize("first", ["vectors", "payloads"])
def test_with_two_files_the_later_starts_it(world: World, first: str) -> None:
    import_id = world.announce(100, Format.NPY, 50)
    arrivals = [
        lambda: world.service.uploaded(world.tenant, import_id, "v1", 100),
        lambda: world.service.payloads_uploaded(world.tenant, import_id, "v2", 50),
    ]
    if first == "payloads":
        arrivals.reverse()
    arrivals[0]()
    arrivals[0]()
    assert world.status(import_id) is ImportStatus.AWAITING_UPLOAD
    assert world.engine.started == []
    arrivals[1]()
    arrivals[1]()
    found, _ = world.service.get(world.tenant, import_id)
    assert (found.status, found.object_version, found.payloads_version) == (ImportStatus.PROCESSING, "v1", "v2")
    assert world.engine.started == [(ImportKind.VECTORS, import_id)]


def test_a_file_of_another_size_starts_nothing(world: World) -> None:
    import_id = world.announce(100, Format.NPY, 50)
    world.service.uploaded(world.tenant, import_id, "v1", 50)
    world.service.payloads_uploaded(world.tenant, import_id, "v1", 100)
    found, _ = world.service.get(world.tenant, import_id)
    assert (found.object_version, found.payloads_version) == (None, None)


def test_an_announcement_twice_is_one_import(world: World) -> None:
    import_id = new_id()
    for _ in range(2):
        world.service.create_of_vectors(
            world.tenant, import_id, "file", 10, "me", VectorFile(SMALL.name, Format.PARQUET)
        )
    found, _ = world.service.get(world.tenant, import_id)
    assert (found.size_bytes, found.payloads_bytes) == (10, None)


@pytest.mark.parametrize(
    ("target", "size", "pointer"),
    [
        (VectorFile("elsewhere", Format.NPY), 10, "/collection"),
        (VectorFile(SMALL.name, Format.NDJSON, 10), 10, "/payloads"),
        (VectorFile(SMALL.name, Format.NPY, 6 * 1024**3), 10, "/payloads/size_bytes"),
        (VectorFile(SMALL.name, Format.NPY), 6 * 1024**3, "/size_bytes"),
    ],
)
def test_what_cannot_be_is_refused_at_its_announcement(
    world: World, target: VectorFile, size: int, pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        world.service.create_of_vectors(world.tenant, new_id(), "file", size, "me", target)
    assert [each.pointer for each in refused.value.problems] == [pointer]


def test_a_bad_rows_number_is_known_when_the_parts_before_are_done(world: World) -> None:
    content = GOOD * 4 + b"broken\n" + GOOD * 4 + b"broken\n"
    import_id = world.arrived(content)
    world.plan.plan(world.tenant, import_id)
    middle = len(GOOD) * 3
    first, second = Part(0, 0, middle), Part(1, middle, len(content) - middle)
    world.work.work(world.tenant, import_id, second)
    listed = world.service.errors(world.tenant, import_id, -1, 10).items
    assert [each.row for each in listed] == [None, None]
    world.work.work(world.tenant, import_id, first)
    page = world.service.errors(world.tenant, import_id, -1, 1)
    assert [(each.row, each.reason) for each in page.items] == [(4, "The line is not JSON.")]
    assert page.next_cursor is not None
    rest = world.service.errors(world.tenant, import_id, int(page.next_cursor), 10)
    assert [each.row for each in rest.items] == [9]
    assert world.service.get(world.tenant, import_id)[1] == Progress(2, 10, 8, 0, 2)


def test_a_part_done_by_four_workers_at_once_counts_once(world: World) -> None:
    import_id = world.arrived(GOOD * 500 + b"broken\n")
    world.plan.plan(world.tenant, import_id)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: world.work.work(world.tenant, import_id, Part(0, 0, 20_000)), range(4)))
    assert done == [Progress(1, 501, 500, 0, 1)] * 4
    assert world.service.get(world.tenant, import_id)[1] == Progress(1, 501, 500, 0, 1)
    assert len(world.index.points) == 500


def test_what_the_engine_lost_is_started_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import_id = world.arrived(GOOD)
    monkeypatch.setattr(world.engine, "is_running", lambda _: False)
    assert world.service.sweep(world.tenant) == 0, "not before half a minute"
    with world.units(world.tenant) as unit:
        unit.conn.execute("update imports set created_at = now() - interval '1 minute' where id = %s", [import_id])
        unit.commit()
    assert world.service.sweep(world.tenant) == 1
    assert world.engine.started == [(ImportKind.VECTORS, import_id)] * 2


def test_another_tenants_import_is_not_there(world: World, app_role: Database) -> None:
    import_id = world.arrived(GOOD)
    other = World(new_id(), app_role)
    with pytest.raises(NotFound):
        other.work.work(other.tenant, import_id, Part(0, 0, 100))
