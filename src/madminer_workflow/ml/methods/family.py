"""What every family of methods can do: a module of ``ml.methods`` with these functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from madminer_workflow.analysis.types import Settings
from madminer_workflow.ml.member import Member
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.fluctuations import Fluctuations
from madminer_workflow.statistics.information import Information
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.observed import Observed
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check

Arrays = dict[str, np.ndarray]

Losses = dict[str, list[float]]
"""Of every epoch, by the set of events that they are of."""

OnEpoch = Callable[[int, dict[str, float | None]], None]
"""Is told the number of an epoch, from 1, and its losses and learning rate."""

S = TypeVar("S", bound=Settings, contravariant=True)


class Family(Protocol[S]):
    """The functions of a family whose settings are of the type ``S``.

    ``members`` are those of an ensemble, whose mean output counts.
    """

    def draw(self, events: Events, settings: S, rng: np.random.Generator) -> Arrays:
        """The training set of one member, from the events to learn from."""

    def train(
        self,
        arrays: Arrays,
        settings: S,
        directory: Path,
        seed: int,
        on_epoch: OnEpoch | None = None,
    ) -> Losses:
        """Fit one member and save it into ``directory``; tell ``on_epoch`` of every epoch."""

    def closed_form(self, members: Sequence[Member], problem: Problem) -> PolynomialDensity | None:
        """The density as a polynomial in the parameters; None where it is known at points only."""

    def fluctuations(self, members: Sequence[Member], problem: Problem) -> dict[str, Fluctuations]:
        """How far the closed form may be off, by source; nothing where that is not known."""

    def information(self, members: Sequence[Member], problem: Problem) -> Information:
        """The Fisher information."""

    def fisher_scores(self, members: Sequence[Member], problem: Problem) -> np.ndarray:
        """The score at the Fisher point of every test event, (n_events, n_parameters)."""

    def diagnostics(self, members: Sequence[Member], problem: Problem) -> list[Check]:
        """Whether the output may be believed."""

    def per_event(self, members: Sequence[Member], problem: Problem) -> Arrays:
        """The output on the test events."""

    def event_ratios(
        self, members: Sequence[Member], events: Observed, thetas: np.ndarray
    ) -> np.ndarray:
        """log r(x | thetas, reference) of any events, (n_thetas, n_events).

        Raises InputError where single events have none.
        """

    def event_scores(
        self, members: Sequence[Member], events: Observed, theta: np.ndarray | None
    ) -> np.ndarray:
        """The score of any events at a point, or at the reference, (n_events, n_parameters).

        Raises InputError where it is not known.
        """


class Pointwise(Family[S], Protocol[S]):
    """A family whose density may be known at parameter points only."""

    def outputs(self, member: Member, problem: Problem, thetas: np.ndarray) -> Arrays:
        """What a member says of the events; evaluating takes the mean over members of each."""

    def density(
        self, outputs: Arrays, problem: Problem, thetas: np.ndarray, member: Member
    ) -> Density:
        """How probable observations are at ``thetas``, from outputs of ``member`` or their mean."""
