"""The command line of ``make kube-…`` and ``make mlflow-kubernetes``, in the repository's root."""

from __future__ import annotations

from pathlib import Path

import click

from madminer_workflow.cli import Commands
from madminer_workflow.engines.folder import ALL, STEPS
from madminer_workflow.errors import InputError
from madminer_workflow.kubernetes import config_map

MANIFESTS = [Path("kube") / name for name in ("pv.yml", "pvc.yml", "input_configmap.yml")]
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)

analysis_option = click.option(
    "--analysis", type=FOLDER, default="inputs/wbf", show_default=True, help="Its folder."
)


@click.group(cls=Commands)
def main() -> None:
    """Steps on Kubernetes, submitted by MLflow: docs/kubernetes.md."""


@main.command("input")
@analysis_option
def input_(analysis: Path) -> None:
    """Write kube/input_configmap.yml from the folder of an analysis."""
    config_map.write(analysis, MANIFESTS[-1])
    click.echo(f"{MANIFESTS[-1]}: {analysis}")


@main.command()
def apply() -> None:
    """Make the volume and the ConfigMap known to the cluster."""
    from madminer_workflow.kubernetes import cluster

    cluster.connect()
    for line in cluster.apply(MANIFESTS):
        click.echo(line)


@main.command()
@click.argument("step", type=click.Choice([ALL, *STEPS]))
@analysis_option
@click.option("--workdir", help="On the volume.  [default: /data/<name of the analysis folder>]")
@click.option("--registry", default="", help="Where the cluster finds the images.")
@click.option("--njobs", type=int, default=6, show_default=True)
@click.option("--ntrainsamples", type=int, default=1, show_default=True)
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

    order = Submission(
        analysis,
        workdir or f"/data/{analysis.resolve().name}",
        registry,
        njobs,
        ntrainsamples,
        dict(_pair(text) for text in parameters.split()),
        build,
        parallel,
    )
    if step == ALL:
        run_all(order)
    else:
        run_step(step, order)


@main.command()
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


if __name__ == "__main__":
    main()
