"""MadGraph and the built-in generator beside each other, at parton level.

Both generate the reference analysis, with fewer events; distributions at three parameter points and
Fisher information must agree within their errors. Writes the figure of docs/madgraph.md. Needs
MadGraph (MG5_DIR, see docs/madgraph.md); about ten minutes on two cores.

    python benchmarks/madgraph_agreement.py [work directory] [figure.png]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import matplotlib
import numpy as np
import yaml
from scipy.stats import chi2

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Analysis, Histogram
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow
from madminer_workflow.errors import InputError
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import histogram
from madminer_workflow.ml.sampling import draw_member
from madminer_workflow.ml.training import fit
from madminer_workflow.physics import programs
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.report.figures import style
from madminer_workflow.statistics import information
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.problem import Problem

INPUTS = Path(__file__).parents[1] / "inputs"
EVENTS = {"sm": 20000, "w": 4000, "neg_w": 4000, "ww": 4000, "neg_ww": 4000}
POINTS = {"SM": (0.0, 0.0), "CWL2 = 0.5": (0.5, 0.0), "CPWL2 = 0.5": (0.0, 0.5)}
EDGES = {
    "pt_j1": np.array([20, 40, 60, 80, 100, 125, 150, 200, 250, 300, 400, 600.0]),
    "delta_phi_jj": np.linspace(-np.pi, np.pi, 13),
    "met": np.linspace(0.0, 100.0, 11),
}


def write_analysis(folder: Path, generator: str) -> Path:
    """The reference analysis with the tutorial's bins and fewer events of one of two generators."""
    analysis = yaml.safe_load((INPUTS / "wbf-estimators" / "input.yml").read_text())
    (process,) = analysis["processes"]
    process["events"] = EVENTS
    if generator == "madgraph":
        shutil.copytree(INPUTS / "wbf-madgraph" / "cards", folder / "cards", dirs_exist_ok=True)
        del process["process"], process["run"]
        process |= {
            "generator": "madgraph",
            "proc_card": "cards/proc_card_signal.dat",
            "run_card": "cards/run_card_signal.dat",
            "param_card": "cards/param_card_signal.dat",
        }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.yml").write_text(yaml.safe_dump(analysis, sort_keys=False))
    return folder / "input.yml"


def events_of(generator: str, workdir: Path) -> tuple[Analysis, Problem]:
    """The analysis and its events."""
    file = write_analysis(workdir / generator / "analysis", generator)
    run_workflow(Order(file, workdir / generator / "run", njobs=4, part="physics"))
    analysis = read_analysis(file)
    data = workdir / generator / "run/physics/combine/combined_delphes.h5"
    return analysis, pose_problem(evaluation_of(analysis), data)


def spectrum(
    events: Events, name: str, theta: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross-section [pb] in the bins of an observable, and its error; the edges."""
    edges = EDGES[name]
    values, weights = events.columns([name])[:, 0], events.weights_at(np.array(theta))
    sums, _ = np.histogram(values, edges, weights=weights)
    squares, _ = np.histogram(values, edges, weights=weights**2)
    return sums, np.sqrt(squares), edges


def compare_spectra(events: dict[str, Events], analysis: Analysis, figure_file: Path) -> None:
    """Print chi-squared and p of every distribution and draw them with their ratios."""
    observables = {entry.name: entry for entry in analysis.observables}
    figure = style.figure(columns=len(EDGES), height=5.0)
    panels = figure.subplots(2, len(EDGES), sharex="col", height_ratios=[3, 1])
    print(f"{'observable':14}{'point':14}{'chi2/bins':>12}{'p':>8}")
    for column, name in enumerate(EDGES):
        top, bottom = panels[:, column]
        for (point, theta), colour in zip(POINTS.items(), style.METHOD_COLOURS, strict=False):
            ours, our_error, edges = spectrum(events["builtin"], name, theta)
            theirs, error, _ = spectrum(events["madgraph"], name, theta)
            pulls = (theirs - ours) / np.hypot(error, our_error)
            chi_squared, n = float(pulls @ pulls), len(pulls)
            p = chi2.sf(chi_squared, n)
            print(f"{name:14}{point:14}{chi_squared:8.1f}/{n:<3d}{p:8.3f}")
            widths, centres = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
            top.stairs(1e3 * ours / widths, edges, color=colour, label=f"built-in, {point}")
            bars = {"color": colour, "fmt": "o", "markersize": 3.5, "linewidth": 1.2}
            name_once = "MadGraph (points)" if point == "SM" else None
            top.errorbar(
                centres, 1e3 * theirs / widths, 1e3 * error / widths, label=name_once, **bars
            )
            bottom.errorbar(centres, theirs / ours, np.hypot(error, our_error) / ours, **bars)
        bottom.axhline(1.0, color=style.MUTED, linewidth=1.0)
        bottom.set_ylim(0.7, 1.3)
        unit = observables[name].unit
        bottom.set_xlabel(style.label(observables[name].latex, name, unit))
        top.set_ylabel(f"cross-section [fb{f' / {unit}' if unit else ''}]")
        bottom.set_ylabel("ratio")
        if name == "pt_j1":
            top.set_yscale("log")
    style.legend_beside(figure, panels[0, 0])
    figure.savefig(figure_file, metadata={"Software": None})
    print(f"figure: {figure_file}")


def compare_information(problems: dict[str, Problem], analysis: Analysis, scratch: Path) -> None:
    """Print the Fisher information of the rate, of the histograms and of partons."""
    print(f"\n{'Fisher information':22}{'entry':>6}{'built-in':>18}{'MadGraph':>18}{'pull':>7}")
    rows: dict[str, list[information.Information]] = {}
    for problem in problems.values():
        events, theta, luminosity = problem.everything, problem.fisher_theta, problem.luminosity
        rows.setdefault("rate", []).append(information.rate(events, theta, luminosity))
        rows.setdefault("partons", []).append(information.truth(events, theta, luminosity))
        for settings in analysis.ml.methods:
            if isinstance(settings, Histogram):
                samples = draw_member(problem.train, settings, member=0, seed=1)
                member = Member(fit(samples, settings, scratch), scratch)
                matrix = histogram.information([member], problem)
                rows.setdefault(settings.name, []).append(matrix)
    for name, (ours, theirs) in rows.items():
        for i in range(len(ours.matrix)):
            a, b = ours.matrix[i, i], theirs.matrix[i, i]
            errors = ours.error[i, i], theirs.error[i, i]
            print(
                f"{name:22}{f'{i + 1}{i + 1}':>6}{a:10.2f} ±{errors[0]:6.2f}"
                f"{b:10.2f} ±{errors[1]:6.2f}{(b - a) / np.hypot(*errors):7.1f}"
            )


def main() -> None:
    try:
        programs.madgraph()
    except InputError as error:
        print(f"skipped: {error}")
        return
    workdir = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/madgraph_agreement")
    figure_file = Path(sys.argv[2] if len(sys.argv) > 2 else workdir / "madgraph.png")
    found = {generator: events_of(generator, workdir) for generator in ("builtin", "madgraph")}
    analysis = found["builtin"][0]
    problems = {generator: problem for generator, (_, problem) in found.items()}
    with matplotlib.rc_context(style.RC):
        events = {generator: problem.everything for generator, problem in problems.items()}
        compare_spectra(events, analysis, figure_file)
    compare_information(problems, analysis, workdir)


if __name__ == "__main__":
    main()
