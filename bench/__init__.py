"""Benchmarks that run with one command each and print what they compare."""
