"""The self-test of a package: right answers on this machine first, then speed."""
