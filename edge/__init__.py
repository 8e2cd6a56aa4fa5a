"""The daemon on the line PC: frames in, decisions and alerts out."""
