"""Collections at a deployment: made where they are missing, and registered as what is served."""

from collections.abc import Mapping
from typing import Protocol

from email_sender.errors import Conflict
from email_sender.vectors.job_steps import Registry
from email_sender.vectors.model import Collection
from email_sender.vectors.ports import VectorIndex
from email_sender.vectors.serving import Served


class KnownRegistry(Registry, Protocol):
    def find(self, collection: str) -> Served | None: ...


class MakingEngine(Protocol):
    def make(self, served: Served) -> bool: ...

    def alias(self, served: Served) -> None: ...

    def found(self, collection: Collection) -> Served: ...


class Preparation:
    """`models` names the embedding models of each collection, of which one that is served by another needs both."""

    def __init__(
        self,
        index: VectorIndex,
        engine: MakingEngine,
        registry: KnownRegistry,
        configured: Mapping[str, Collection],
        models: Mapping[str, frozenset[str]],
    ) -> None:
        self._index, self._engine, self._registry = index, engine, registry
        self._configured, self._models = configured, models

    def prepare(self) -> list[str]:
        """Which collections were made now.

        Raises:
            Conflict: a collection is embedded by a model that this deployment does not name.
        """
        return [name for name, collection in self._configured.items() if self._prepare(collection)]

    def _prepare(self, collection: Collection) -> bool:
        served = self._registry.find(collection.name)
        if served is None:
            made = self._index.prepare(collection)
            served = self._engine.found(collection)
            with self._registry.alone(collection.name) as alone:
                alone.serve(served)
            return made
        if served.model is not None and served.model not in self._models.get(served.name, ()):
            raise Conflict(
                f"The collection {served.name} was embedded by {served.model}: name that model in EMBEDDING_MODELS "
                "beside the new one, until a migration has changed over."
            )
        # An engine that lost it gets it anew, as it was served.
        made = self._engine.make(served)
        self._engine.alias(served)
        return made
