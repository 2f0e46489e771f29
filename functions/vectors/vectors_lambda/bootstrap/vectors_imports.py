"""Composition root of bulk imports, separate because it loads numpy and the file readers."""

from functools import cache

from email_sender.adapters.files import readers
from email_sender.vectors.imports.steps import BulkPlan, BulkWork
from vectors_lambda.bootstrap.core import client_writer, import_steps, import_units, served_collections, uploads


def bulk_plan() -> BulkPlan:
    served_collections()
    return _bulk_plan()


@cache
def _bulk_plan() -> BulkPlan:
    return BulkPlan(import_units(), uploads(), uploads(), served_collections(), readers())


def bulk_work() -> BulkWork:
    served_collections()
    return _bulk_work()


@cache
def _bulk_work() -> BulkWork:
    return BulkWork(import_units(), uploads(), client_writer(), served_collections(), readers(), import_steps())
