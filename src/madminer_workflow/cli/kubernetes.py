"""``kubernetes``: what ``make kube-…`` and ``make mlflow-kubernetes`` do, in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from madminer_workflow.cli.commands import njobs_option, ntrainsamples_option, warn
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError
from madminer_workflow.graph import ALL, STEPS

VOLUME, CLAIM, CONFIG_MAP = (
    Path("kube") / name for name in ("pv.yml", "pvc.yml", "input_configmap.yml")
)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

analysis_option = click.option(
    "--analysis",
    type=FOLDER,
    default="inputs/wbf",
    show_default=True,
    help="Folder of the analysis.",
)
namespace_option = click.option(
    "--namespace",
    default="",
    help="Namespace of the cluster.  [default: the one in the files in kube/ and mlflow/]",
)


@click.group()
def kubernetes() -> None:
    """Steps on Kubernetes, submitted by MLflow: docs/kubernetes.md."""


@kubernetes.command("input")
@analysis_option
def input_(analysis: Path) -> None:
    """Write kube/input_configmap.yml from the folder of an analysis."""
    from madminer_workflow.kubernetes import config_map

    config_map.write(analysis, CONFIG_MAP)
    click.echo(f"{CONFIG_MAP}: {analysis}")


@kubernetes.command()
@namespace_option
@click.option(
    "--storage-class", default="", help="Storage class of volumes that the cluster provides."
)
def apply(namespace: str, storage_class: str) -> None:
    """Create the volume and the ConfigMap on the cluster."""
    from madminer_workflow.kubernetes import cluster

    # A class has volumes; without one, this is the volume, where there is to be one.
    files = (
        [CLAIM, CONFIG_MAP]
        if storage_class or not VOLUME.exists()
        else [
            VOLUME,
            CLAIM,
            CONFIG_MAP,
        ]
    )
    bodies = [cluster.manifest(file, namespace, storage_class) for file in files]
    cluster.connect()
    for line in cluster.apply(bodies):
        click.echo(line)


@kubernetes.command()
@click.argument("step", type=click.Choice([ALL, *STEPS]))
@analysis_option
@click.option(
    "--workdir", help="Path on the volume.  [default: /data/<name of the analysis folder>]"
)
@click.option("--registry", default="", help="Registry from which the cluster pulls the images.")
@njobs_option
@ntrainsamples_option
@click.option(
    "--parameters", default="", help="Further parameters, as in mlflow/MLproject: NAME=VALUE …"
)
@click.option("--build", is_flag=True, help="Build an image that contains the project.")
@namespace_option
@click.option(
    "--wait",
    type=float,
    default=60,
    show_default=True,
    help="Maximum waiting time of a Job in minutes.",
)
@click.option("--pull-secret", default="", help="Secret for pulling images.")
@click.option("--service-account", default="", help="Service account of the Jobs.")
@click.option(
    "--node-selector", default="", help="Labels of the nodes on which Jobs run: NAME=VALUE …"
)
@click.option(
    "--any-user", is_flag=True, help="Let the cluster choose the user of the Jobs (OpenShift)."
)
def run(
    step: str,
    analysis: Path,
    workdir: str | None,
    registry: str,
    njobs: int,
    ntrainsamples: int,
    parameters: str,
    node_selector: str,
    **options: Any,
) -> None:
    """Run STEP as a Job, or `all` in a Job that starts further Jobs, like run --on kubernetes.

    `all` runs only steps affected by changes since the last time.
    """
    from madminer_workflow.kubernetes import jobs
    from madminer_workflow.kubernetes.project import MAIN, Site
    from madminer_workflow.kubernetes.submission import Submission

    place = Path(workdir or f"/data/{analysis.resolve().name}")
    more = _pairs("--parameters", parameters)
    site = Site(
        node_selector=_pairs("--node-selector", node_selector),
        **{name: options.pop(name) for name in ("namespace", "pull_secret", "service_account")},
        any_user=options.pop("any_user"),
        wait=options.pop("wait"),
    )
    order = Order(analysis, place, njobs, ntrainsamples)
    jobs.run(MAIN if step == ALL else step, Submission(order, registry, more, site, **options))


@kubernetes.command()
@namespace_option
def logs(namespace: str) -> None:
    """Store the logs of all Jobs as artifacts of their runs."""
    from madminer_workflow.kubernetes import cluster
    from madminer_workflow.kubernetes.project import Site
    from madminer_workflow.kubernetes.project import namespace as of_jobs
    from madminer_workflow.kubernetes.submitting import keep_logs

    cluster.connect()
    kept = keep_logs(of_jobs(Site(namespace)))
    for log in kept:
        if log.problem:
            warn(f"{log.pod}: no log: {log.problem}")
    click.echo(f"{len([log for log in kept if not log.problem])} logs stored")


def _pairs(option: str, text: str) -> dict[str, str]:
    pairs = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise InputError(f"{option}: {word}: expected NAME=VALUE")
        pairs[name] = value
    return pairs
