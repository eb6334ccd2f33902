"""A study's numbers for the eye: the terminal's table, figures, and the report."""
