"""The analysis file: read, checked in two passes, completed with its defaults, and typed.

``file`` has the doors; ``types``, ``systematics`` and ``fingerprint`` are light, and know of no
files.
"""
