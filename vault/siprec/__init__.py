"""The session recording server: what SIPREC (RFC 7866, RFC 7865) asks beyond SIP."""
