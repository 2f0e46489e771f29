"""Which status of an email may follow which. Events come late, repeatedly and in any order."""

from email_sender.messaging.model import BounceType, Email, EmailStatus

_UNSETTLED = (EmailStatus.SENDING, EmailStatus.UNKNOWN)


def can_change(email: Email, status: EmailStatus, bounce_type: BounceType | None = None) -> bool:
    """Return whether the email may change to this status.

    Settlement only moves forward: a late Send event does not undo a delivery. A temporary bounce is the one outcome
    that a delivery undoes, and a temporary bounce after a delivery is an out-of-office message that SES took for a
    bounce.
    """
    current = email.status
    match status:
        case EmailStatus.REJECTED:
            # SES accepts an email and then finds a virus in it: its Reject event follows its Send event.
            return current in (*_UNSETTLED, EmailStatus.SENT)
        case EmailStatus.SENT | EmailStatus.UNKNOWN | EmailStatus.QUEUED:
            return current in _UNSETTLED and status is not current
        case EmailStatus.DELIVERED:
            is_undone = current is EmailStatus.BOUNCED and email.bounce_type is BounceType.TEMPORARY
            return is_undone or current in (*_UNSETTLED, EmailStatus.SENT)
        case EmailStatus.BOUNCED:
            if bounce_type is BounceType.TEMPORARY:
                return current in (*_UNSETTLED, EmailStatus.SENT)
            is_harder = current is EmailStatus.BOUNCED and email.bounce_type is BounceType.TEMPORARY
            return is_harder or current in (*_UNSETTLED, EmailStatus.SENT, EmailStatus.DELIVERED)
    return current not in (EmailStatus.COMPLAINED, EmailStatus.SUPPRESSED, EmailStatus.REJECTED)
