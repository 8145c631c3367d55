"""Coders that a model's walk talks to: encoder, decoder and rate meter behind one call."""
