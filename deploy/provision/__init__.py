"""Setting up the software of a line PC without Internet: wheelhouse and installer."""
