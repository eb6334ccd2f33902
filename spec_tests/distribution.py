"""What is asked of the installation: its version."""

from __future__ import annotations


def version() -> str:
    """Unrolled's version; "(not installed)" in a checkout that is only on the path."""
    from importlib import metadata

    try:
        return metadata.version("unrolled")
    except metadata.PackageNotFoundError:
        return "(not installed)"
