"""Channels: ways to a person, one folder each. `registry` is the one list of them."""
