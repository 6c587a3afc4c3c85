"""A campaign against the whole program: bad files, damaged products, archives, kills and faults.

A corpus is a function that yields named cases from a fixed seed. One runner, ``sandbox``, runs the
program on a case and returns an outcome; what must be true of outcomes is said once, in
``outcome``. A seeded share of every corpus is part of ``make test``, all of it is
``make campaign``, which ends with a table of figures.
"""
