"""Features, evaluated by the rules of AWS Lambda Powertools. Implements security.features.Features."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.security.features import Feature, Flag, Flags

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.feature_flags import FeatureFlags

_TENANT = "tenant_id"


class PowertoolsFeatures:
    """`flags` returns the same object until the flags change, so that they are translated and validated only once."""

    def __init__(self, flags: Callable[[], Flags]) -> None:
        self._flags = flags
        self._rules: FeatureFlags | None = None

    def enabled(self, feature: Feature, tenant_id: UUID) -> bool:
        if self._rules is None:
            self._rules = _load_feature_flags(self._flags)
        # A feature that the settings do not mention has the default of `Flag`.
        is_enabled = self._rules.evaluate(name=feature.value, context={_TENANT: str(tenant_id)}, default=Flag().default)
        return bool(is_enabled)


def _load_feature_flags(flags: Callable[[], Flags]) -> "FeatureFlags":
    # Imported here, since it loads boto3, the heaviest import of all.
    from aws_lambda_powertools.utilities.feature_flags import FeatureFlags, StoreProvider

    class Store(StoreProvider):
        """The library reads the store at every evaluation, and validates an object that it has not seen before."""

        def __init__(self) -> None:
            self._cached: tuple[Flags, dict[str, Any]] | None = None

        @property
        def get_raw_configuration(self) -> dict[str, Any]:
            current_flags = flags()
            if self._cached is None or self._cached[0] is not current_flags:
                self._cached = (current_flags, rules_of(current_flags))
            return self._cached[1]

        def get_configuration(self) -> dict[str, Any]:
            return self.get_raw_configuration

    return FeatureFlags(store=Store())


def rules_of(flags: Flags) -> dict[str, Any]:
    """Return the flags in the library's schema: a default, and rules of which the first match decides."""
    return {
        feature.value: {"default": flag.default, **({"rules": _rules(flag.tenants)} if flag.tenants else {})}
        for feature, flag in flags.items()
    }


def _rules(tenants: Mapping[str, bool]) -> dict[str, Any]:
    by_value = {
        on: sorted(tenant for tenant, is_enabled in tenants.items() if is_enabled is on) for on in (True, False)
    }
    return {
        f"{'on' if on else 'off'} for these tenants": {
            "when_match": on,
            "conditions": [{"action": "KEY_IN_VALUE", "key": _TENANT, "value": tenant_ids}],
        }
        for on, tenant_ids in by_value.items()
        if tenant_ids
    }
