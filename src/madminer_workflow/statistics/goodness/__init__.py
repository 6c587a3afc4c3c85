"""Whether data look like the simulation at the best fit: tests, calibrated by toys."""
