"""Makes the shipped checkpoint: the graft detector, trained on drawn defects.

It is a separate tool outside the wheel, run by ``make pretrain``.
"""
