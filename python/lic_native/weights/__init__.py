"""Trained weights, which `lic_native.nn.checkpoint` reads."""
