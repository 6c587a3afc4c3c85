"""One trial: draw samples if need be, train an ensemble, evaluate it, and take its loss.

Runs in a worker process, where torch is imported once for all its trials.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from madminer_workflow.analysis.types import TRAINING, TrainedMethod
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.member import open_member
from madminer_workflow.ml.methods.family import OnEpoch
from madminer_workflow.ml.sampling import check_defined, write_member
from madminer_workflow.ml.training import training
from madminer_workflow.ml.validation_loss import validation_loss
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.products.problem import training_events
from madminer_workflow.products.results import read_results
from madminer_workflow.products.samples import read_samples, samples_path
from madminer_workflow.statistics.checks import reason
from madminer_workflow.sweep.directory import Place, recorded
from madminer_workflow.sweep.plan import Plan, Values
from madminer_workflow.sweep.results import TrialResult
from madminer_workflow.tracking import products
from madminer_workflow.tracking.journal import Journal


def prepare(plan: Plan, place: Place) -> None:
    """Draw the samples that trials share; InputError if the data are of another analysis."""
    method = plan.method
    draw(plan, place, replace(method, features=None), place.reference)
    if method.features is not None:
        draw(plan, place, method, place.base)
    # Last: with it, all is there.
    write_json(place.evaluation, evaluation_of(plan.analysis))


def draw(plan: Plan, place: Place, method: TrainedMethod, directory: Path) -> None:
    """Draw the samples of all members into ``directory``."""
    events = training_events(place.data, plan.analysis)
    check_defined(events, plan.method, place.data)
    with atomic_path(directory) as product:
        for member in range(plan.members):
            write_member(product, events, method, member, plan.analysis.seed)


def samples_in(directory: Path, plan: Plan) -> list[Path]:
    """The samples of all members in a directory that ``draw`` made."""
    members = range(plan.members)
    return [samples_path(directory, plan.method_name, member) for member in members]


def run_trial(plan: Plan, place: Place, number: int, values: Values) -> TrialResult:
    """Run a trial and tell how it ended; its products are kept in ``place.trial(number)``.

    A training that diverges, or settings that do not go together, make it fail, which is a result
    like any other: its loss is None.
    """
    started = time.monotonic()
    try:
        with (
            recorded(place, "trial", [f"trial_{number}"], shared=True) as journal,
            atomic_path(place.trial(number)) as product,
        ):
            result = _result(plan, place, number, values, product)
            if journal:
                products.evaluated(product, journal)
                journal.metrics({"validation_loss": result.loss})
    except (InputError, StepError) as error:
        result = TrialResult(
            number=number, values=values, loss=None, believed=False, reason=str(error), seconds=0.0
        )
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _result(plan: Plan, place: Place, number: int, values: Values, product: Path) -> TrialResult:
    method = plan.method_of(values)
    changes = [
        f"{key}={json.dumps(value)}"
        for key, value in values.items()
        if key.partition(".")[0] in TRAINING
    ]
    with TemporaryDirectory(dir=place.workdir, prefix=".trial") as scratch:
        started = time.monotonic()
        models = [
            _train(
                place,
                [f"trial_{number}", f"training_{method.name}_{member}"],
                samples,
                changes,
                product / f"training_{member}",
            )
            for member, samples in enumerate(_samples(plan, place, method, Path(scratch)))
        ]
        seconds_training = time.monotonic() - started
        evaluating(place.evaluation, place.data, models, product)
        losses = [
            _loss(plan, samples, model, Path(scratch) / model.parent.name)
            for samples, model in zip(samples_in(place.reference, plan), models, strict=True)
        ]
    if not all(map(math.isfinite, losses)):
        raise StepError("the validation loss is not a number")
    results = read_results(product / "Results.tar.gz").summary
    return TrialResult(
        number=number,
        values=values,
        loss=sum(losses) / len(losses),
        losses=tuple(losses),
        believed=results.believed,
        reason=reason(results.checks),
        seconds=0.0,
        seconds_training=round(seconds_training, 3),
    )


def _samples(plan: Plan, place: Place, method: TrainedMethod, scratch: Path) -> list[Path]:
    """Samples for ``method``: those that trials share, or others if they would be others."""
    base = plan.method
    for shared, directory in ((base, place.base), (replace(base, features=None), place.reference)):
        if directory.exists() and method.sampled_like(shared):
            return samples_in(directory, plan)
    draw(plan, place, method, scratch / "samples")
    return samples_in(scratch / "samples", plan)


def _train(place: Place, run: list[str], samples: Path, changes: list[str], output: Path) -> Path:
    with recorded(place, "training", run) as journal:
        training(samples, output, changes, _listener(journal))
        if journal:
            products.training({"samples": samples}, output, journal)
    return output / "Model.tar.gz"


def _loss(plan: Plan, samples: Path, model: Path, scratch: Path) -> float:
    arrays = read_samples(samples).arrays
    return validation_loss(open_member(model, scratch), arrays, plan.method)


def _listener(journal: Journal | None) -> OnEpoch | None:
    return (lambda epoch, losses: journal.metrics(losses, epoch)) if journal else None
