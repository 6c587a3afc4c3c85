"""A Kubernetes cluster of one machine for tests: an API server, and a node for its pods.

It serves what MLflow and ``madminer_workflow.kubernetes`` ask for, to whoever their role allows
it; keeps ConfigMaps, volumes and claims; holds Jobs against them and against the restricted Pod
Security Standard; and ends, replaces and deletes pods as the controllers of Jobs do. On the node a
pod is a container that Docker runs (``containers``), with the image from its registry, the user,
the mounts and the limits, or whatever a test says that happens to it (``node``). What it does not
have (a scheduler, more than one node, storage classes) it cannot prove: docs/kubernetes.md lists
it.
"""
