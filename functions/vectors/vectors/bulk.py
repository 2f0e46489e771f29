"""The part of the composition root that only bulk imports need: it loads numpy and the readers of files."""

from functools import cache

from email_sender.adapters.point_files import readers
from email_sender.vectors.bulk_work import BulkPlan, BulkWork
from vectors.bootstrap import engine_index, import_steps, import_units, known_collections, uploads, write_versions


@cache
def bulk_plan() -> BulkPlan:
    return BulkPlan(import_units(), uploads(), uploads(), known_collections(), readers())


@cache
def bulk_work() -> BulkWork:
    return BulkWork(
        import_units(), uploads(), engine_index(), known_collections(), readers(), import_steps(), write_versions()
    )
