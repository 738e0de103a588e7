"""The hot path: sockets, SRTP, capture records, the sweep loop of a media worker."""
