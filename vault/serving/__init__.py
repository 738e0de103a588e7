"""The processes of an installation: their entries, and the parent that keeps them."""
