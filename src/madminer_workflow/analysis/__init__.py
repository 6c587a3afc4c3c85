"""The analysis file: read, checked and completed."""
