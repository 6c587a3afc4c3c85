"""A Kubernetes cluster of one machine for tests: an API server, and Docker for its containers.

It serves what MLflow and ``madminer_workflow.kubernetes`` ask for, keeps ConfigMaps, volumes and
claims, holds Jobs against them and against the restricted Pod Security Standard, and runs the
container of a Job as a node would: the image pulled from its registry, the user, the mounts, the
limits. What it does not have (a scheduler, access control, more than one node, storage classes)
it cannot prove: docs/kubernetes.md lists it.
"""
