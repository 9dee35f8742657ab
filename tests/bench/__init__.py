"""Benchmarks: run by hand, nothing asserted."""
