"""Kafka in and out: the Faust worker, its lanes, quarantine, and what publishes a catalogue.

Nothing is imported here: who only publishes does not wait for Faust to load.
"""
