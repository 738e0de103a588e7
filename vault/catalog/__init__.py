"""Recordings and where they stand: states, sealed metadata, blind-index search."""
