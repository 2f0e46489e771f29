"""Features, evaluated by AWS Lambda Powertools' rules. Implements security.features.Features."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from email_sender.security.features import Feature, Flag, Flags

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.feature_flags import FeatureFlags

_TENANT = "tenant_id"


class PowertoolsFeatures:
    """`flags` gives the same object as long as they are the same: they are translated and validated once."""

    def __init__(self, flags: Callable[[], Flags]) -> None:
        self._flags = flags
        self._rules: FeatureFlags | None = None

    def enabled(self, feature: Feature, tenant_id: UUID) -> bool:
        if self._rules is None:
            self._rules = _evaluated(self._flags)
        # Of a feature that settings know nothing of, what its default says.
        found = self._rules.evaluate(name=feature.value, context={_TENANT: str(tenant_id)}, default=Flag().default)
        return bool(found)


def _evaluated(flags: Callable[[], Flags]) -> "FeatureFlags":
    # Late: it loads boto3, which is the heaviest import there is.
    from aws_lambda_powertools.utilities.feature_flags import FeatureFlags, StoreProvider

    class Store(StoreProvider):
        """The library asks at every evaluation and validates what is another object than before."""

        def __init__(self) -> None:
            self._known: tuple[Flags, dict[str, Any]] | None = None

        @property
        def get_raw_configuration(self) -> dict[str, Any]:
            now = flags()
            if self._known is None or self._known[0] is not now:
                self._known = (now, rules_of(now))
            return self._known[1]

        def get_configuration(self) -> dict[str, Any]:
            return self.get_raw_configuration

    return FeatureFlags(store=Store())


def rules_of(flags: Flags) -> dict[str, Any]:
    """The library's schema: a default, and rules of which the first that matches decides."""
    return {
        feature.value: {"default": flag.default, **({"rules": _rules(flag.tenants)} if flag.tenants else {})}
        for feature, flag in flags.items()
    }


def _rules(tenants: Mapping[str, bool]) -> dict[str, Any]:
    by_value = {on: sorted(tenant for tenant, wanted in tenants.items() if wanted is on) for on in (True, False)}
    return {
        f"{'on' if on else 'off'} for these tenants": {
            "when_match": on,
            "conditions": [{"action": "KEY_IN_VALUE", "key": _TENANT, "value": named}],
        }
        for on, named in by_value.items()
        if named
    }
