"""A backup into an empty local cloud (docs/guides/backups.md).

- ``files``: a backup in a folder; fetched from a bucket, and verified before anything is written.
- ``keys``: what the tenants' data keys are wrapped by, there and here.
- ``tables``: the database.
- ``points``: the collections.
- ``restore``: all of it, in a folder aside that takes its place at the end.
"""


class NotRestorable(RuntimeError):
    """The backup cannot be restored, or not here; the message says why. Nothing was changed."""
