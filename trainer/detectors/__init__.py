"""Detectors behind one interface: YOLOX (our own) and torchvision's SSDLite."""
