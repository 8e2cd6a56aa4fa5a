"""Label Studio: its tasks, and the photos that they make."""
