"""The interfaces of other packages on lic_native's coder, each to be imported by itself."""

__all__ = ["compressai"]
