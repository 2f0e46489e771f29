"""What `make bench` measures: docs/benchmarks.md."""
