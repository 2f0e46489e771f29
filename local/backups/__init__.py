"""Restore a backup into an empty local cloud (docs/guides/backups.md).

- ``files``: the backup in a folder, fetched from a bucket, and verified before anything is written.
- ``keys``: the keys that wrap the tenants' data keys, in the backup and in this local cloud.
- ``tables``: the database.
- ``points``: the collections.
- ``restore``: the whole restore, in a temporary folder that is moved into place at the end.
"""


class NotRestorable(RuntimeError):
    """The backup cannot be restored in this local cloud. The message says why. Nothing was changed."""
