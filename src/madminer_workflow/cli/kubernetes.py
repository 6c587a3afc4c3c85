"""``kubernetes``: what ``make kube-…`` and ``make mlflow-kubernetes`` do, in the repository."""

from __future__ import annotations

from pathlib import Path

import click

from madminer_workflow.cli.commands import njobs_option, ntrainsamples_option
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError
from madminer_workflow.graph import ALL, STEPS

MANIFESTS = [Path("kube") / name for name in ("pv.yml", "pvc.yml", "input_configmap.yml")]
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

analysis_option = click.option(
    "--analysis", type=FOLDER, default="inputs/wbf", show_default=True, help="Its folder."
)


@click.group()
def kubernetes() -> None:
    """Steps on Kubernetes, submitted by MLflow: docs/kubernetes.md."""


@kubernetes.command("input")
@analysis_option
def input_(analysis: Path) -> None:
    """Write kube/input_configmap.yml from the folder of an analysis."""
    from madminer_workflow.kubernetes import config_map

    config_map.write(analysis, MANIFESTS[-1])
    click.echo(f"{MANIFESTS[-1]}: {analysis}")


@kubernetes.command()
def apply() -> None:
    """Make the volume and the ConfigMap known to the cluster."""
    from madminer_workflow.kubernetes import cluster

    cluster.connect()
    for line in cluster.apply(MANIFESTS):
        click.echo(line)


@kubernetes.command()
@click.argument("step", type=click.Choice([ALL, *STEPS]))
@analysis_option
@click.option("--workdir", help="On the volume.  [default: /data/<name of the analysis folder>]")
@click.option("--registry", default="", help="Where the cluster finds the images.")
@njobs_option
@ntrainsamples_option
@click.option("--parameters", default="", help="More of them, as in mlflow/MLproject: NAME=VALUE …")
@click.option("--build", is_flag=True, help="Build an image with the project in it.")
@click.option("--parallel", type=int, default=1, show_default=True, help="Jobs at a time.")
def run(
    step: str,
    analysis: Path,
    workdir: str | None,
    registry: str,
    njobs: int,
    ntrainsamples: int,
    parameters: str,
    build: bool,
    parallel: int,
) -> None:
    """Run STEP as a Job, or all steps one after another."""
    from madminer_workflow.kubernetes.jobs import Submission, run_all, run_step

    place = Path(workdir or f"/data/{analysis.resolve().name}")
    more = dict(_pair(text) for text in parameters.split())
    changes = more.get("settings", "").split()
    submission = Submission(
        Order(analysis, place, njobs, ntrainsamples, changes),
        registry,
        more,
        build,
        parallel,
    )
    if step == ALL:
        run_all(submission)
    else:
        run_step(step, submission)


@kubernetes.command()
def logs() -> None:
    """Keep the logs of all Jobs as artifacts of their runs."""
    from madminer_workflow.kubernetes import cluster
    from madminer_workflow.kubernetes.jobs import keep_logs

    cluster.connect()
    click.echo(f"{len(keep_logs())} logs kept")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"--parameters: {text}: expected NAME=VALUE")
    return name, value
