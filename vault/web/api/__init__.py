"""The API, version 1: JSON for programs and for the player."""
