"""The steps as Jobs on Kubernetes, submitted by MLflow (docs/kubernetes.md).

``config_map`` brings the analysis there, ``project`` makes the MLflow project of a step,
``cluster`` speaks to Kubernetes, and ``jobs`` submits.
"""
