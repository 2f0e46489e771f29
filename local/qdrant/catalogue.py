"""Which collections and aliases there are.

A folder holds a folder per collection, and ``.aliases.json``. What begins with a dot is never a collection:
``.creating-NAME`` and ``.deleting-NAME`` are collections on their way in or out. A rename is the moment at which a
collection exists or no longer does, so a kill at any time leaves all of it or nothing, and the next start sweeps.
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
from local.qdrant.collection import Collection
from local.qdrant.errors import Exists, Invalid, Missing
from local.qdrant.files import sync_folder, write_json
from local.qdrant.optimizer import settle

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
_TICK_SECONDS = 0.1


class Catalogue:
    """All collections under a folder, open. One process at a time: a second raises BlockingIOError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._claim = (folder / ".lock").open("w")
        fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        self._janitor = threading.Thread(target=self._settle, name="optimizer")
        self._janitor.start()

    def names(self) -> list[str]:
        return sorted(self._collections)

    def aliases(self) -> dict[str, str]:
        """Alias to collection."""
        return dict(sorted(self._aliases.items()))

    def exists(self, name: str) -> bool:
        return self._aliases.get(name, name) in self._collections

    def get(self, name: str) -> Collection:
        """The collection of that name or alias. Raises Missing."""
        collection = self._collections.get(self._aliases.get(name, name))
        if collection is None:
            raise Missing(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, config: pb.CollectionConfig) -> None:
        """Raises Exists where a collection or an alias has the name, Invalid where the name is none."""
        with self._lock:
            _check_name(name)
            if name in self._collections:
                raise Exists(f"Collection `{name}` already exists!")
            if name in self._aliases:
                raise Exists(f"Alias with the same name already exists: {name}")
            fresh = self._folder / f".creating-{name}"
            fresh.mkdir()
            try:
                Collection.lay(fresh, config)
                fresh.rename(self._folder / name)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
            sync_folder(self._folder)
            self._collections[name] = Collection(self._folder / name)

    def delete(self, name: str) -> bool:
        """Drop a collection by its own name, never by an alias, with the aliases that lead to it."""
        with self._lock:
            collection = self._collections.get(name)
            if collection is None:
                return False
            kept = {alias: target for alias, target in self._aliases.items() if target != name}
            if kept != self._aliases:
                self._keep_aliases(kept)
            del self._collections[name]
            collection.close()
            leaving = self._folder / f".deleting-{name}-{secrets.token_hex(4)}"
            (self._folder / name).rename(leaving)
            sync_folder(self._folder)
            # An optimizer may still write into it: what stays is swept by the next start.
            shutil.rmtree(leaving, ignore_errors=True)
            return True

    def change_aliases(self, actions: Iterable[pb.AliasOperations]) -> None:
        """All of the actions or none, and no request in between sees some. Raises Missing, Exists, Invalid."""
        with self._lock:
            aliases = dict(self._aliases)
            for action in actions:
                self._change(aliases, action)
            self._keep_aliases(aliases)

    def close(self) -> None:
        """Stop optimizing, flush and close every collection. Waits for what is running."""
        self._stopping.set()
        self._janitor.join()
        with self._lock:
            for collection in self._collections.values():
                collection.close()
        self._claim.close()

    def _change(self, aliases: dict[str, str], action: pb.AliasOperations) -> None:
        kind = action.WhichOneof("action")
        if kind == "create_alias":
            wanted = action.create_alias
            _check_name(wanted.alias_name)
            if wanted.collection_name not in self._collections:
                raise Missing(f"Collection `{wanted.collection_name}` doesn't exist!")
            if wanted.alias_name in self._collections:
                raise Exists(f"Collection with the same name already exists: {wanted.alias_name}")
            aliases[wanted.alias_name] = wanted.collection_name
        elif kind == "rename_alias":
            wanted = action.rename_alias
            _check_name(wanted.new_alias_name)
            if wanted.new_alias_name in self._collections:
                raise Exists(f"Collection with the same name already exists: {wanted.new_alias_name}")
            if wanted.old_alias_name not in aliases:
                raise Missing(f"Alias {wanted.old_alias_name} does not exists!")
            aliases[wanted.new_alias_name] = aliases.pop(wanted.old_alias_name)
        elif kind == "delete_alias":
            aliases.pop(action.delete_alias.alias_name, None)
        else:
            raise Invalid("Malformed AliasOperation: it is empty")

    def _keep_aliases(self, aliases: dict[str, str]) -> None:
        write_json(self._folder / ".aliases.json", aliases)
        self._aliases = aliases  # one assignment: readers hold no lock

    def _settle(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            for collection in list(self._collections.values()):
                settle(collection, self._stopping)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(f"`{name}` is no name for a collection: letters, digits, `_`, `-` and `.`, at most 200")
