"""Who may put a model on a line PC: keys, signed releases, and their verification."""
