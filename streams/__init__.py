"""Kafka in and out: the Faust worker, its lanes, the quarantine topic, and publishing of a catalogue.

Nothing is imported here, so that publishing does not load Faust.
"""
