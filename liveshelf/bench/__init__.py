"""Measures the whole path on this machine, for `liveshelf bench` and the scripts in benchmarks/."""
