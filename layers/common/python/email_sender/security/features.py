"""Features that can be disabled, globally or per tenant. Settings, routes and actions read this list."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from email_sender.errors import Forbidden


class Feature(StrEnum):
    AI_GENERATE = "ai_generate"
    HTTP_REQUEST = "http_request"
    N8N_IMPORT = "n8n_import"


@dataclass(frozen=True, slots=True)
class Flag:
    """Whether a feature is enabled. `tenants` maps tenant ids in lower case to values that override `default`."""

    default: bool = True
    tenants: Mapping[str, bool] = field(default_factory=dict)


type Flags = Mapping[Feature, Flag]


class Features(Protocol):
    def enabled(self, feature: Feature, tenant_id: UUID) -> bool: ...


def require_feature(features: Features, feature: Feature, tenant_id: UUID) -> None:
    """Raise Forbidden, naming the feature, if it is not enabled for the tenant."""
    if not features.enabled(feature, tenant_id):
        raise Forbidden(f"The feature {feature} is not enabled for this tenant.")
