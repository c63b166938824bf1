"""A test file per network, hence their number; `test_zoo` holds what all have in common."""
