"""Event generators behind one interface."""
