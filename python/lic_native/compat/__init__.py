"""Drop-in replacements for the coders of other packages; each is imported by itself."""

__all__ = ["compressai"]
