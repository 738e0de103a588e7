"""Use case: one call, from the order to record it to its signed manifest."""
