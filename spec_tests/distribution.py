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
    import importlib.util

    hint = (
        "run from another folder, or take it off Python's path (from Python 3.11 on, python -P leaves the current "
        "folder out)"
    )
    try:
        import data
    except Exception as error:  # whatever another project's package does when it is imported out of place
        spec = importlib.util.find_spec("data")
        if spec is None:
            return "Unrolled's package `data` is not installed beside spec_tests; install unrolled again"
        where = spec.origin or ", ".join(spec.submodule_search_locations or [])
        problem = (where, type(error).__name__, error, hint)
        return "the package `data` at %s cannot be imported (%s: %s); %s" % problem
    if getattr(data, "DISTRIBUTION", None) == "unrolled":
        return ""
    where = getattr(data, "__file__", None) or ", ".join(map(str, getattr(data, "__path__", ["an unknown place"])))
    return "another package named `data`, at %s, hides Unrolled's own; %s" % (where, hint)
