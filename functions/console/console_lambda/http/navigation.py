"""The links of the console that a person sees: those whose pages their role may read."""

from collections.abc import Sequence
from dataclasses import dataclass

from console_lambda.rendering import PREFIX
from console_lambda.sessions import Session
from email_sender.security.permissions import Permission, Role


@dataclass(frozen=True, slots=True)
class Link:
    """Links of one `group` stand together, below its name."""

    path: str
    title: str
    permission: Permission
    group: str = ""


_LINKS: Sequence[Link] = (
    Link("", "Needs you", Permission.WORKFLOWS_READ),
    Link("/find", "Find people", Permission.VECTORS_READ),
    Link("/approvals", "Approve", Permission.WORKFLOWS_APPROVE),
    Link("/contacts", "Contacts", Permission.MESSAGING_READ),
    Link("/suppressions", "Suppressions", Permission.MESSAGING_READ, "Content"),
    Link("/templates", "Templates", Permission.MESSAGING_READ, "Content"),
    Link("/workflows", "Workflows", Permission.WORKFLOWS_READ, "Content"),
    Link("/imports", "Imports", Permission.VECTORS_READ, "Content"),
    Link("/deliverability", "Deliverability", Permission.MESSAGING_READ, "Content"),
    Link("/vectors", "Vectors", Permission.VECTORS_READ, "Manage"),
    Link("/tenant", "Team", Permission.TENANT_MANAGE, "Manage"),
    Link("/webhooks", "Webhooks", Permission.TENANT_MANAGE, "Manage"),
    Link("/platform", "Platform", Permission.PLATFORM_READ),
    Link("/platform/dashboards", "Dashboards", Permission.PLATFORM_READ),
    Link("/platform/tenants", "Tenants", Permission.PLATFORM_READ),
    Link("/platform/events", "Failed events", Permission.PLATFORM_READ),
    Link("/vectors", "Vector jobs", Permission.PLATFORM_READ),
    Link("/platform/settings", "Settings", Permission.PLATFORM_READ),
    Link("/audit", "Audit", Permission.AUDIT_READ, "Manage"),
)


def links_for(session: Session) -> Sequence[Link]:
    return [link for link in _LINKS if session.may(link.permission)]


def current_of(links: Sequence[Link], path: str) -> Link | None:
    """Return the link of the page at `path`, or of the page above it."""
    below = path.removeprefix(PREFIX)
    found = [link for link in links if link.path and (below == link.path or below.startswith(f"{link.path}/"))]
    if found:
        return max(found, key=lambda link: len(link.path))
    return next((link for link in links if not link.path), None) if not below else None


def home_of(session: Session) -> str:
    """Return the path of the first page after signing in."""
    return "/platform" if session.role is Role.OPERATOR else ""
