"""Backends by name, in this process or served by another Python (PROTOCOL.md)."""
