"""Readers of others' files: dicts of arrays, and which variable each belongs to."""
