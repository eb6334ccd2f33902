"""One step: a file for each kind of cell, and the dense layer."""
