"""What is asked of the installation, before anything of it is used: its version, and whether its `data` is its own.

Standard library only. Python 3.7 syntax.
"""

from __future__ import annotations


def version() -> str:
    """Unrolled's version; "(not installed)" in a checkout that is only on the path."""
    from importlib import metadata

    try:
        return metadata.version("unrolled")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def of_another_project() -> str:
    """Why `data` is not Unrolled's package of that name, as a sentence; empty when it is."""
    try:
        import data
    except ImportError:
        return "Unrolled's package `data` is not installed beside spec_tests; reinstall unrolled"
    if getattr(data, "DISTRIBUTION", None) == "unrolled":
        return ""
    where = getattr(data, "__file__", None) or next(iter(getattr(data, "__path__", ["an unknown place"])))
    return (
        "another package named `data`, at %s, is in the way of Unrolled's; "
        "run from a folder without it, or rename it" % where
    )
