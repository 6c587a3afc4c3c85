"""A REANA server for tests, on this machine only.

It serves the operations that a user's session needs from the OpenAPI description in reana-commons,
checks every request and response against it, and runs the uploaded workspace with yadage, each
step with the user, group, shell and memory that REANA gives it. What it does not have (images,
Kubernetes, other users, HTCondor, Slurm) it cannot prove: docs/reana.md lists it.
"""
