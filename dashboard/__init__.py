"""Collects alerts over MQTT, keeps their history, and shows them on a page."""
