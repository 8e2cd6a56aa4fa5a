"""The HTML and JSON reports of ``train``, ``evaluate`` and ``check``."""
