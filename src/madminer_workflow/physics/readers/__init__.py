"""Event files of generators and detectors as arrays of particles."""
