"""HTTP only: pages and API for people and scripts."""
