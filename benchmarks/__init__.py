"""The benchmarks that `make bench` runs (docs/benchmarks.md)."""
