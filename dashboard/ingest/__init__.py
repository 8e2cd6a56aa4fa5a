"""From MQTT messages to rows of the history."""
