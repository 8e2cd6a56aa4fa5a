"""The smallest configuration of a daemon."""

MINIMAL = """
[station]
site = "plant"
line = "line-1"
station = "eol"

[model]
slot = "slot"

[outbox]
path = "outbox.sqlite"

[evidence]
folder = "evidence"

[[camera]]
name = "top"
source = "folder:parts"
"""
