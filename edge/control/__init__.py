"""Commands from MQTT, reloads of the configuration, and signals."""
