"""Failures of the database under load: a standby takes over, and what was acknowledged is still there."""
