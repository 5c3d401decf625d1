"""Builds what a release consists of and checks it; `make release` runs it."""
