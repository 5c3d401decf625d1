"""liveshelf keeps a shop's search index live: settings, wiring, the command line, benchmarks and the sample catalogue.

The Python client of the search service is the distribution `liveshelf-client`, imported as `liveshelf_client`.
"""
