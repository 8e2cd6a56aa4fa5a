"""The kinds of camera: folder, video file, OpenCV capture and Aravis."""
