"""Vector imports on PostgreSQL: announced, uploaded, planned, processed, finished."""

from concurrent.futures import ThreadPoolExecutor
from typing import cast
from uuid import UUID

import pytest

from email_sender.adapters.files import readers
from email_sender.adapters.postgres.database import Database
from email_sender.adapters.postgres.imports import PostgresImportUnits
from email_sender.archive.mailbox_import import ImportSteps
from email_sender.errors import InvalidInput, NotFound
from email_sender.kit.system_clock import new_id, now
from email_sender.vectors.imports.model import Format, ImportKind, ImportStatus, Progress
from email_sender.vectors.imports.point_files import Part
from email_sender.vectors.imports.service import ImportService, VectorFile
from email_sender.vectors.imports.steps import BulkPlan, BulkWork
from email_sender.vectors.ports import PointWriter
from tests.fakes.vector_imports import SMALL, MemoryIndex, MemoryUploads

GOOD = b'{"vector": [1, 2, 3, 4]}\n'


class RecordingEngine:
    def __init__(self) -> None:
        self.started: list[tuple[ImportKind, UUID]] = []

    def start_import(self, kind: ImportKind, import_id: UUID, tenant_id: UUID) -> str:
        self.started.append((kind, import_id))
        return f"execution:{import_id}"

    def is_running(self, execution: str) -> bool:
        return True


class VectorImportScenario:
    def __init__(self, tenant: UUID, database: Database) -> None:
        self.tenant, self.units = tenant, PostgresImportUnits(database, None)
        self.uploads, self.engine, self.index = MemoryUploads(), RecordingEngine(), MemoryIndex()
        collections = {SMALL.name: SMALL}
        self.service = ImportService(self.units, self.uploads, lambda: self.engine, lambda: collections, now, new_id)
        self.steps = ImportSteps(self.units, self.uploads, None, now, new_id)
        self.plan = BulkPlan(self.units, self.uploads, self.uploads, collections, readers())
        self.work = BulkWork(
            self.units,
            self.uploads,
            cast("PointWriter", self.index),
            collections,
            readers(),
            self.steps,
        )

    def announce(self, size: int, kind: Format = Format.NDJSON, payloads: int | None = None) -> UUID:
        target = VectorFile(SMALL.name, kind, payloads)
        return self.service.create_vector_import(self.tenant, new_id(), "file", size, "me", target).record.id

    def announce_and_upload(self, content: bytes) -> UUID:
        """Announce an import, upload its content, and return its id."""
        import_id = self.announce(len(content))
        self.uploads.files[f"imports/{import_id}"] = content
        self.service.record_upload(self.tenant, import_id, "v1", len(content))
        return import_id

    def status(self, import_id: UUID) -> ImportStatus:
        return self.service.get(self.tenant, import_id)[0].status


@pytest.fixture
def scenario(tenant: UUID, app_role: Database) -> VectorImportScenario:
    return VectorImportScenario(tenant, app_role)


def test_an_import_runs_from_announcement_to_completion(scenario: VectorImportScenario) -> None:
    import_id = scenario.announce_and_upload(GOOD * 10)
    assert scenario.engine.started == [(ImportKind.VECTORS, import_id)]
    scenario.plan.plan(scenario.tenant, import_id)
    assert scenario.work.work(scenario.tenant, import_id, Part(0, 0, 10_000)) == Progress(1, 10, 10, 0, 0)
    assert scenario.work.work(scenario.tenant, import_id, Part(0, 0, 10_000)) == Progress(1, 10, 10, 0, 0)
    assert scenario.steps.finish(scenario.tenant, import_id) == Progress(1, 10, 10, 0, 0)
    stored_import, progress = scenario.service.get(scenario.tenant, import_id)
    assert (stored_import.status, stored_import.kind, stored_import.collection, stored_import.format) == (
        ImportStatus.COMPLETED, ImportKind.VECTORS, SMALL.name, Format.NDJSON,
    )  # fmt: skip
    assert progress.stored == len(scenario.index.points) == 10


@pytest.mark.parametrize("first", ["vectors", "payloads"])
def test_an_import_of_two_files_starts_with_the_second_upload(scenario: VectorImportScenario, first: str) -> None:
    import_id = scenario.announce(100, Format.NPY, 50)
    arrivals = [
        lambda: scenario.service.record_upload(scenario.tenant, import_id, "v1", 100),
        lambda: scenario.service.record_payloads_upload(scenario.tenant, import_id, "v2", 50),
    ]
    if first == "payloads":
        arrivals.reverse()
    arrivals[0]()
    arrivals[0]()
    assert scenario.status(import_id) is ImportStatus.AWAITING_UPLOAD
    assert scenario.engine.started == []
    arrivals[1]()
    arrivals[1]()
    stored_import, _ = scenario.service.get(scenario.tenant, import_id)
    assert (stored_import.status, stored_import.object_version, stored_import.payloads_version) == (
        ImportStatus.PROCESSING,
        "v1",
        "v2",
    )
    assert scenario.engine.started == [(ImportKind.VECTORS, import_id)]


def test_a_file_of_another_size_than_announced_starts_nothing(scenario: VectorImportScenario) -> None:
    import_id = scenario.announce(100, Format.NPY, 50)
    scenario.service.record_upload(scenario.tenant, import_id, "v1", 50)
    scenario.service.record_payloads_upload(scenario.tenant, import_id, "v1", 100)
    stored_import, _ = scenario.service.get(scenario.tenant, import_id)
    assert (stored_import.object_version, stored_import.payloads_version) == (None, None)


def test_a_repeated_announcement_is_one_import(scenario: VectorImportScenario) -> None:
    import_id = new_id()
    for _ in range(2):
        scenario.service.create_vector_import(
            scenario.tenant, import_id, "file", 10, "me", VectorFile(SMALL.name, Format.PARQUET)
        )
    stored_import, _ = scenario.service.get(scenario.tenant, import_id)
    assert (stored_import.size_bytes, stored_import.payloads_bytes) == (10, None)


@pytest.mark.parametrize(
    ("target", "size", "pointer"),
    [
        (VectorFile("elsewhere", Format.NPY), 10, "/collection"),
        (VectorFile(SMALL.name, Format.NDJSON, 10), 10, "/payloads"),
        (VectorFile(SMALL.name, Format.NPY, 6 * 1024**3), 10, "/payloads/size_bytes"),
        (VectorFile(SMALL.name, Format.NPY), 6 * 1024**3, "/size_bytes"),
    ],
)
def test_an_impossible_import_is_refused_at_its_announcement(
    scenario: VectorImportScenario, target: VectorFile, size: int, pointer: str
) -> None:
    with pytest.raises(InvalidInput) as error:
        scenario.service.create_vector_import(scenario.tenant, new_id(), "file", size, "me", target)
    assert [problem.pointer for problem in error.value.problems] == [pointer]


def test_the_row_number_of_an_error_is_known_once_earlier_parts_are_done(scenario: VectorImportScenario) -> None:
    content = GOOD * 4 + b"broken\n" + GOOD * 4 + b"broken\n"
    import_id = scenario.announce_and_upload(content)
    scenario.plan.plan(scenario.tenant, import_id)
    middle = len(GOOD) * 3
    first, second = Part(0, 0, middle), Part(1, middle, len(content) - middle)
    scenario.work.work(scenario.tenant, import_id, second)
    row_errors = scenario.service.errors(scenario.tenant, import_id, -1, 10).items
    assert [row_error.row for row_error in row_errors] == [None, None]
    scenario.work.work(scenario.tenant, import_id, first)
    page = scenario.service.errors(scenario.tenant, import_id, -1, 1)
    assert [(row_error.row, row_error.reason) for row_error in page.items] == [(4, "The line is not JSON.")]
    assert page.next_cursor is not None
    next_page = scenario.service.errors(scenario.tenant, import_id, int(page.next_cursor), 10)
    assert [row_error.row for row_error in next_page.items] == [9]
    assert scenario.service.get(scenario.tenant, import_id)[1] == Progress(2, 10, 8, 0, 2)


def test_a_part_processed_by_four_workers_at_once_counts_once(scenario: VectorImportScenario) -> None:
    import_id = scenario.announce_and_upload(GOOD * 500 + b"broken\n")
    scenario.plan.plan(scenario.tenant, import_id)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: scenario.work.work(scenario.tenant, import_id, Part(0, 0, 20_000)), range(4)))
    assert results == [Progress(1, 501, 500, 0, 1)] * 4
    assert scenario.service.get(scenario.tenant, import_id)[1] == Progress(1, 501, 500, 0, 1)
    assert len(scenario.index.points) == 500


def test_an_import_lost_by_the_engine_is_started_again(
    scenario: VectorImportScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_id = scenario.announce_and_upload(GOOD)
    monkeypatch.setattr(scenario.engine, "is_running", lambda _: False)
    assert scenario.service.sweep(scenario.tenant) == 0, "the sweep waits at least half a minute"
    with scenario.units(scenario.tenant) as unit:
        unit.conn.execute("update imports set created_at = now() - interval '1 minute' where id = %s", [import_id])
        unit.commit()
    assert scenario.service.sweep(scenario.tenant) == 1
    assert scenario.engine.started == [(ImportKind.VECTORS, import_id)] * 2


def test_an_import_of_another_tenant_is_not_found(scenario: VectorImportScenario, app_role: Database) -> None:
    import_id = scenario.announce_and_upload(GOOD)
    other_scenario = VectorImportScenario(new_id(), app_role)
    with pytest.raises(NotFound):
        other_scenario.work.work(other_scenario.tenant, import_id, Part(0, 0, 100))
