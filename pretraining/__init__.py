"""Makes the shipped checkpoints. It is a separate tool outside the wheel.

``pretrain`` trains the graft detector on drawn defects (``make pretrain``);
``convert_coco`` writes YOLOX-nano's COCO weights as float16.
"""
