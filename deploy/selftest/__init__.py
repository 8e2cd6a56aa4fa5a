"""The self-test of a package: correct detections on this machine, then speed."""
