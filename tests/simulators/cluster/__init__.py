"""Lines, an MQTT cluster, collectors and one database, under kill -9."""
