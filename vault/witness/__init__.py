"""A witness of logs: cosigns what has only grown, elsewhere and by a key of its own."""
