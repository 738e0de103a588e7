"""Callvault: an encrypted vault for call and screen recordings."""

__version__ = "0.1.0"
