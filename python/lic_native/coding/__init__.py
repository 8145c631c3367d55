"""Coders that a model is walked with: encoders, decoders and rate meters have one interface."""
