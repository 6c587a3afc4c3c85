"""Likelihoods, limits, information, coverage and checks of plain arrays."""
