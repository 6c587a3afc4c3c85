"""Records of runs: Workflow Run RO-Crates, which say what was computed from what, how and by what.

``entities`` is the format, ``crate`` reads and checks one, ``description`` says what a run was, and
``packing`` makes one file of it. What writes them is the engine (``engines.record``), which can
also repeat what they say (``engines.rerun``).
"""
