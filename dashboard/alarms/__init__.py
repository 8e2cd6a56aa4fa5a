"""Alarms: a camera whose parts are defective too often, or one after the other."""
