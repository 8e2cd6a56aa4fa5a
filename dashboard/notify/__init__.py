"""Sends notifications to people: by webhook, Teams and e-mail."""
