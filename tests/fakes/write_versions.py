"""In-memory write versions of collections."""

from uuid import UUID, uuid4

from email_sender.errors import Unavailable


class MemoryVersions:
    def __init__(self) -> None:
        self._versions: dict[tuple[UUID, str], UUID] = {}
        self.reads = 0
        self.down = False

    def read(self, tenant_id: UUID, collection: str) -> UUID:
        self.reads += 1
        if self.down:
            raise Unavailable("The database did not answer.")
        return self._versions.get((tenant_id, collection), UUID(int=0))

    def touch(self, tenant_id: UUID, collection: str) -> None:
        if self.down:
            raise Unavailable("The database did not answer.")
        self._versions[tenant_id, collection] = uuid4()

    def touch_all(self, collection: str) -> None:
        for tenant_id, versioned_collection in list(self._versions):
            if versioned_collection == collection:
                self.touch(tenant_id, collection)
