"""The class ``unknown``: what differs from all good parts, without a label."""
