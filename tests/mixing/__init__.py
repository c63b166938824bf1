"""A test file per family of mixers, hence their number; `test_mixers` holds what all have in common."""
