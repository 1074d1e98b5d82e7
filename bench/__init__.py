"""Benchmarks on real parts, as ratios in one run: `python -m bench`. See docs/benchmarks.md."""
