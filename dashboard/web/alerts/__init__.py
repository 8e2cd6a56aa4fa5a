"""The list of alerts, one alert, and what people decide about it."""
