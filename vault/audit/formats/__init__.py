"""How one entry of the trail is written for readers other than a verifier."""
