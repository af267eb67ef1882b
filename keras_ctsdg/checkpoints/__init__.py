"""Readers of other projects' checkpoints, and maps from their names to ours.

Readers return dicts of arrays under the file's own names. Nothing in this package
knows a model: networks are arguments of the functions that fill them.
"""
