"""Preparation of collections at a deployment: creates missing collections and registers them as served."""

from collections.abc import Mapping
from typing import Protocol

from email_sender.errors import Conflict
from email_sender.vectors.jobs.ports import ServingRegistry
from email_sender.vectors.model import Collection
from email_sender.vectors.ports import CollectionCreator
from email_sender.vectors.served_collections import ServedCollection


class PreparationRegistry(ServingRegistry, Protocol):
    def find(self, collection: str) -> ServedCollection | None:
        """Return what is served under a name, or None if the collection was never prepared."""


class PreparationEngine(Protocol):
    def create_if_missing(self, served: ServedCollection) -> bool:
        """Create the collection with its indexes if it is missing. Return whether it was created."""

    def alias(self, served: ServedCollection) -> None:
        """Point the alias `served.name` at the collection `served.stored_as`."""

    def describe(self, collection: Collection) -> ServedCollection:
        """Return the collection that the engine stores under this name."""


class Preparation:
    """Creates collections. `models` lists the model ids of each collection.

    While a collection is served with an older model, `models` must list both the older and the new model.
    """

    def __init__(
        self,
        index: CollectionCreator,
        engine: PreparationEngine,
        registry: PreparationRegistry,
        configured: Mapping[str, Collection],
        models: Mapping[str, frozenset[str]],
    ) -> None:
        self._index, self._engine, self._registry = index, engine, registry
        self._configured, self._models = configured, models

    def prepare(self) -> list[str]:
        """Prepare all configured collections. Return the names of those that were created.

        Raises:
            Conflict: a collection is embedded by a model that this deployment does not configure.
        """
        return [name for name, collection in self._configured.items() if self._prepare(collection)]

    def _prepare(self, collection: Collection) -> bool:
        served_collection = self._registry.find(collection.name)
        if served_collection is None:
            was_created = self._index.prepare(collection)
            served_collection = self._engine.describe(collection)
            with self._registry.exclusive_access(collection.name) as access:
                access.serve(served_collection)
            return was_created
        if served_collection.model is not None and served_collection.model not in self._models.get(
            served_collection.name, ()
        ):
            raise Conflict(
                f"The collection {served_collection.name} was embedded by {served_collection.model}. "
                "Name that model in EMBEDDING_MODELS beside the new one until a migration has switched to the new one."
            )
        # If the engine has lost the collection, create it again as it was served.
        was_created = self._engine.create_if_missing(served_collection)
        self._engine.alias(served_collection)
        return was_created
