"""Log in, users, tokens, and settings of the plant."""
