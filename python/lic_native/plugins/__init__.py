"""Plug-ins for other libraries, which find most of them by themselves through entry points (docs/plugins.md).

Each module needs the library that it serves, and is imported by it.
"""
