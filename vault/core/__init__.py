"""Values every room shares: errors, identifiers, ranges, secrets, time.  No I/O."""
