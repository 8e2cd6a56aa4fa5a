"""Detectors with one interface: YOLOX (implemented here), torchvision's SSDLite."""
