"""Session descriptions: what a PBX offers, and what a mere listener answers."""
