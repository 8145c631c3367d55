"""Entropy coding of arrays and tensors under distributions, without torch."""
