"""Benchmarks: recorded trainings."""
