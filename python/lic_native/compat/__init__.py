"""Drop-in replacements for the coders of other packages. Import each subpackage by name."""

__all__ = ["compressai"]
