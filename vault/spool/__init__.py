"""Sealed octets kept safe across a crash until the object store has them."""
