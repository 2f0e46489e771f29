"""The collections and aliases, and how they are stored.

A folder holds one folder for each collection, and ``.aliases.json``. Names that begin with a dot are not collections:
``.creating-NAME`` and ``.deleting-NAME`` are collections that are being created or deleted. A rename creates or deletes
a collection atomically, so it survives a kill as a whole or not at all. The next start removes the leftovers.
"""

from __future__ import annotations

import fcntl
import json
import re
import secrets
import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from email_sender.adapters.qdrant.wire import pb
from local.qdrant.atomic_files import sync_folder, write_json
from local.qdrant.collection import Collection
from local.qdrant.errors import AlreadyExists, InvalidArgument, NotFound
from local.qdrant.optimizer import optimize_if_due

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
_TICK_SECONDS = 0.1


class Catalogue:
    """All collections of a folder, opened. Only one process can open a folder; a second raises BlockingIOError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = (folder / ".lock").open("w")
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._folder = folder
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        for leftover in [*folder.glob(".creating-*"), *folder.glob(".deleting-*")]:
            shutil.rmtree(leftover, ignore_errors=True)
        self._collections = {
            path.parent.name: Collection(path.parent) for path in sorted(folder.glob("[!.]*/collection.json"))
        }
        aliases = folder / ".aliases.json"
        self._aliases: dict[str, str] = json.loads(aliases.read_text()) if aliases.exists() else {}
        self._optimizer_thread = threading.Thread(target=self._run_optimizer, name="optimizer")
        self._optimizer_thread.start()

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return sorted(self._collections)

    def aliases(self) -> dict[str, str]:
        """Return the collection of each alias, sorted by alias."""
        return dict(sorted(self._aliases.items()))

    def exists(self, name: str) -> bool:
        return self._aliases.get(name, name) in self._collections

    def get(self, name: str) -> Collection:
        """Return the collection with this name or alias. Raises NotFound."""
        collection = self._collections.get(self._aliases.get(name, name))
        if collection is None:
            raise NotFound(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, config: pb.CollectionConfig) -> None:
        """Create a collection. Raises AlreadyExists if the name is used, InvalidArgument if it is invalid."""
        with self._lock:
            _check_name(name)
            if name in self._collections:
                raise AlreadyExists(f"Collection `{name}` already exists!")
            if name in self._aliases:
                raise AlreadyExists(f"Alias with the same name already exists: {name}")
            new_folder = self._folder / f".creating-{name}"
            new_folder.mkdir()
            try:
                Collection.initialize(new_folder, config)
                new_folder.rename(self._folder / name)
            finally:
                shutil.rmtree(new_folder, ignore_errors=True)
            sync_folder(self._folder)
            self._collections[name] = Collection(self._folder / name)

    def delete(self, name: str) -> bool:
        """Delete a collection by its own name, not by an alias, with its aliases. Return whether it existed."""
        with self._lock:
            collection = self._collections.get(name)
            if collection is None:
                return False
            remaining_aliases = {alias: target for alias, target in self._aliases.items() if target != name}
            if remaining_aliases != self._aliases:
                self._save_aliases(remaining_aliases)
            del self._collections[name]
            collection.close()
            deleted_folder = self._folder / f".deleting-{name}-{secrets.token_hex(4)}"
            (self._folder / name).rename(deleted_folder)
            sync_folder(self._folder)
            # An optimizer may still write into the folder. The next start removes what remains.
            shutil.rmtree(deleted_folder, ignore_errors=True)
            return True

    def change_aliases(self, actions: Iterable[pb.AliasOperations]) -> None:
        """Apply all of the actions or none, atomically. Raises NotFound, AlreadyExists or InvalidArgument."""
        with self._lock:
            aliases = dict(self._aliases)
            for action in actions:
                self._apply_alias_action(aliases, action)
            self._save_aliases(aliases)

    def close(self) -> None:
        """Stop optimizing, then flush and close every collection. Waits for a running optimization."""
        self._stopping.set()
        self._optimizer_thread.join()
        with self._lock:
            for collection in self._collections.values():
                collection.close()
        self._lock_file.close()

    def _apply_alias_action(self, aliases: dict[str, str], action: pb.AliasOperations) -> None:
        kind = action.WhichOneof("action")
        if kind == "create_alias":
            request = action.create_alias
            _check_name(request.alias_name)
            if request.collection_name not in self._collections:
                raise NotFound(f"Collection `{request.collection_name}` doesn't exist!")
            if request.alias_name in self._collections:
                raise AlreadyExists(f"Collection with the same name already exists: {request.alias_name}")
            aliases[request.alias_name] = request.collection_name
        elif kind == "rename_alias":
            request = action.rename_alias
            _check_name(request.new_alias_name)
            if request.new_alias_name in self._collections:
                raise AlreadyExists(f"Collection with the same name already exists: {request.new_alias_name}")
            if request.old_alias_name not in aliases:
                raise NotFound(f"Alias {request.old_alias_name} does not exists!")
            aliases[request.new_alias_name] = aliases.pop(request.old_alias_name)
        elif kind == "delete_alias":
            aliases.pop(action.delete_alias.alias_name, None)
        else:
            raise InvalidArgument("Malformed AliasOperation: it is empty")

    def _save_aliases(self, aliases: dict[str, str]) -> None:
        write_json(self._folder / ".aliases.json", aliases)
        self._aliases = aliases  # one assignment: readers hold no lock

    def _run_optimizer(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            for collection in list(self._collections.values()):
                optimize_if_due(collection, self._stopping)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"`{name}` is not a valid collection name: use at most 200 letters, digits, `_`, `-` and `.`"
        )
