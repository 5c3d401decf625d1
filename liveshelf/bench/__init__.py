"""Measurements of the whole path on this machine, by `liveshelf bench` and by the scripts in benchmarks/."""
