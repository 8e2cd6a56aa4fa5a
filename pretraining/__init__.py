"""Makes the shipped checkpoint: the graft detector, trained on drawn defects.

A tool of its own outside the wheel, run by ``make pretrain``.
"""
