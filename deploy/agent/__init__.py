"""The agent on the line PC: it takes packages from the inbox of its slot."""
