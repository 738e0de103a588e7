"""Signalling that peers send: SDP offer and answer (and, later, SIPREC)."""
