"""Interpreters of the workflow files."""
