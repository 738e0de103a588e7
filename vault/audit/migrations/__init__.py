"""Schema steps of the audit database, in ``versions``."""
