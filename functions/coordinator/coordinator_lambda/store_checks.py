"""Health checks of the stores behind the platform: the database's replication, and the addresses in use."""

from collections.abc import Callable, Mapping
from typing import Any

from email_sender.adapters.postgres.replication import Replication
from email_sender.coordination.lifecycle import Status
from email_sender.coordination.manager_status import Finding, build_finding

type ReplicationReader = Callable[[], Replication]
type AddressProbe = Callable[[], Mapping[str, bool]]

# Readers of RDS are usually less than a second behind.
_MAX_READER_SECONDS = 30.0


def check_replication(read: ReplicationReader) -> Finding:
    state = read()
    figures: dict[str, Any] = {
        "timeline": state.timeline,
        "started_seconds_ago": round(state.started_seconds_ago),
        "standbys": state.standbys,
        "readers": int(state.has_reader),
    }
    if not state.accepts_writes:
        reason = "The database accepts no writes. A failover may be in progress, or its address leads to a standby."
        return Finding(Status.FAILED, reason, figures)
    if not state.has_reader:
        return Finding(figures=figures)
    if state.reader is None:
        return Finding(Status.DEGRADED, "The reader does not respond. The primary serves its reads.", figures)
    seconds = round(state.reader.behind_seconds, 1)
    figures |= {"reader_behind_seconds": seconds, "reader_behind_bytes": round(state.reader.behind_bytes)}
    return build_finding({f"The reader is {seconds} s behind the primary.": seconds > _MAX_READER_SECONDS}, figures)


def check_addresses(probes: Mapping[str, AddressProbe]) -> Finding:
    """Check every address behind the name of each store. One that answers is enough to work."""
    figures: dict[str, Any] = {}
    reasons, status = [], Status.RUNNING
    for store, probe in probes.items():
        answers = probe()
        dead = [address for address, does_answer in answers.items() if not does_answer]
        figures |= {f"{store}_addresses": len(answers), f"{store}_addresses_in_use": len(answers) - len(dead)}
        if dead:
            reasons.append(f"Of the {store}'s {len(answers)} addresses, {', '.join(dead)} accept no connections.")
            status = Status.FAILED if len(dead) == len(answers) or status is Status.FAILED else Status.DEGRADED
    return Finding(status, " ".join(reasons) or None, figures)
