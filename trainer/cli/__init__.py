"""The verbs of the workstation: arguments in, one call, output."""
