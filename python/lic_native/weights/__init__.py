"""Trained weights, as safetensors."""
