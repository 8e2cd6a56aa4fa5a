"""One module for each annotation format; all give the same rows."""
