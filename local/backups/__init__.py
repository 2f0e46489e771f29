"""Restore a backup into an empty local cloud (docs/guides/backups.md).

- ``backup_folder``: the backup in a folder, fetched from a bucket, and verified before anything is written.
- ``wrapping_keys``: the keys that wrap the tenants' data keys, in the backup and in this local cloud.
- ``database``: the database.
- ``collections``: the collections.
- ``restore_workflow``: the complete restore, in a temporary folder that is moved into place at the end.
"""
