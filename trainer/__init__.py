"""Photos of defects in, a fine-tuned and packed detector out. Runs on a workstation."""
