"""Use case: the one process that writes the audit log and opens envelopes."""
