"""Envelopes, chunked AEAD, keyring, roster, manifests: the cryptography here."""
