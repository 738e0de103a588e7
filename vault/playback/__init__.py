"""Use case: a grant and a range become octets, and no other way exists."""
