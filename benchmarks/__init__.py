"""Benchmarks: they measure and print; they pass no judgement and are not part of the tests."""
