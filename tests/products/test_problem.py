"""What a problem knows of the events of a MadMiner file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import read_sample
from madminer_workflow.products.combined import CUT_FLOW
from madminer_workflow.products.problem import read_events
from tests.support.chain import Physics


def test_events_know_how_many_were_drawn_before_cuts(mixed: Physics) -> None:
    events, sample = read_events(mixed.combined), read_sample(mixed.combined)
    assert events.drawn_from is not None and events.n_drawn is not None
    names = [*events.setup.benchmark_names, "background"]
    drawn = dict.fromkeys(names, 0)
    for flow in read_json(mixed.combined.parent / CUT_FLOW):
        name = "background" if flow["is_background"] else flow["sampling_benchmark"]
        drawn[name] += flow["generated"]
    assert dict(zip(names, events.n_drawn.tolist(), strict=True)) == drawn
    assert drawn["background"] > 0
    passed = np.bincount(events.drawn_from, minlength=len(names))
    np.testing.assert_array_equal(passed, [*sample.generated, sample.background])


def test_a_file_of_another_program_does_not_say_how_many_were_drawn(toy_file: Path) -> None:
    events = read_events(toy_file)
    assert events.drawn_from is None and events.n_drawn is None
