"""The frame path: frames in, detections through the rules, decisions out."""
