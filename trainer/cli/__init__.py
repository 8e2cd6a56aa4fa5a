"""The verbs of the workstation: arguments in, one call, output.

They import no training library: ``work`` does, after the arguments were checked.
"""
