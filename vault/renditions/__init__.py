"""Use case: a capture becomes playable media, peaks and a quality certificate."""
