"""What jobs of 1000 MadGraph events cost: integrating in every job, and integrating once.

The process is the reference analysis' u d > u d h, h > a a, with six benchmarks. Before, as
MadMiner runs MadGraph, a job launched it on the written process: it compiled, integrated, drew
events, compiled the reweighting code and reweighted. Now ``generate`` does the first, once, and a
job draws and weighs. Shower and detector, equal in both, are left out. All runs one after another.

Needs MadGraph with the model EWdim6 (see docs/madgraph.md), for the first part with an interpreter
that its own reweighting works with (numpy < 1.26).

    python benchmarks/jobs.py [largest number of jobs run the old way, default 6]
"""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from pathlib import Path

from costs import Seconds, measured
from wbf import DATA, benchmarks, parameters

from madminer_workflow.analysis.madgraph_cards import read_param_card
from madminer_workflow.analysis.types import MadGraphProcess
from madminer_workflow.errors import StepError
from madminer_workflow.physics.generators import Request, madgraph
from madminer_workflow.physics.generators.madgraph.param_card import values_at
from madminer_workflow.physics.generators.madgraph.workplace import Workplace

PROCESS_CARD = """import model EWdim6-full
generate u d > u d h / a z QCD=0 QED=99 NP=2, h > a a QCD=0 QED=99 NP=0
"""
N_EVENTS = 1000
JOBS = (1, 6, 24)
LAUNCH = """launch {process}
shower=OFF
detector=OFF
analysis=OFF
madspin=OFF
reweight=ON
done
done
"""


class EveryJob:
    """The predecessor's way: the process is written once, the rest is every job's."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.workplace = Workplace.create(directory)
        self.process = directory / "process"

    def prepare(self) -> None:
        output = f"output {self.process} -nojpeg"
        self.workplace.run_commands([*PROCESS_CARD.splitlines(), output])
        cards = self.process / "Cards"
        text = (DATA / "madgraph_param_card.dat").read_text()
        (cards / "param_card.dat").write_text(text)
        lines = ["change helicity False", "change rwgt_dir rwgt"]
        for name, theta in benchmarks().items():
            lines.append(f"launch --rwgt_name={name}")
            values = values_at(parameters(), theta, read_param_card(text, "card"), "card")
            for (block, (number,)), value in values.items():
                lines.append(f"set {block} {number} {value!r}")
        (cards / "reweight_card.dat").write_text("\n".join([*lines, ""]))

    def job(self, number: int) -> None:
        copy = self.workplace.directory / f"job_{number}"
        shutil.copytree(self.process, copy, symlinks=True)
        card = copy / "Cards" / "run_card.dat"
        settings = (
            f"{N_EVENTS} = nevents\n{number + 1} = iseed\nsum = event_norm\nFalse = use_syst\n"
        )
        keys = ("nevents", "iseed", "event_norm", "use_syst")
        kept = [
            line
            for line in card.read_text().splitlines()
            if line.split("!")[0].rpartition("=")[2].strip() not in keys
        ]
        card.write_text("\n".join([*kept, settings]))
        self.workplace.run_commands(LAUNCH.format(process=copy).splitlines())
        (events,) = copy.glob("Events/run_01/unweighted_events.lhe.gz")
        text = gzip.decompress(events.read_bytes()).decode()
        if text.count("<wgt id='sm'>") != N_EVENTS:
            raise StepError(f"{text.count('<event>')} events, not all of them reweighted")
        shutil.rmtree(copy)


class Once:
    """Our way."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def prepare(self) -> None:
        process = MadGraphProcess(
            name="wbf",
            proc_card=PROCESS_CARD,
            run_card=None,
            param_card=(DATA / "madgraph_param_card.dat").read_text(),
            ufo_model=None,
            pythia8_card=None,
            systematics=(),
            is_background=False,
            k_factor=1.0,
            events={"sm": N_EVENTS},
        )
        request = Request(
            process=process,
            parameters=parameters(),
            benchmarks=benchmarks(),
            check_points={},
            reference="sm",
            systematics=[],
            models=self.directory,
            seed=1,
        )
        madgraph.integrate(request, self.directory)

    def job(self, number: int) -> None:
        output = self.directory / "events.lhe"
        madgraph.generate_events(self.directory, "sm", N_EVENTS, number, output)


def cumulative(way: EveryJob | Once, most: int) -> dict[int, Seconds]:
    """Total cost after every number of jobs up to ``most``."""
    total, costs = Seconds(0.0, 0.0), {}
    for number in range(most):
        total += measured(way.job, number)[1]
        costs[number + 1] = total
    return costs


def main() -> None:
    """Measure both ways, and print a table and how they compare."""
    old_jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for name, way, most in (
            ("every job integrates", EveryJob(Path(scratch) / "every"), old_jobs),
            ("integrated once", Once(Path(scratch) / "once"), JOBS[-1]),
        ):
            _, prepared = measured(way.prepare)
            rows.append((name, prepared, cumulative(way, most)))
    print(f"{'wall / CPU seconds':22s} {'once':>15s}" + "".join(f"{n:>11d} jobs" for n in JOBS))
    for name, prepared, costs in rows:
        line = f"{name:22s} {prepared.wall:7.1f}/{prepared.cpu:7.1f}"
        for n_jobs in JOBS:
            most = min(n_jobs, max(costs))
            cost = costs[most] * (n_jobs / most)
            line += f" {cost.wall:7.1f}/{cost.cpu:6.1f}" + ("*" if most < n_jobs else " ")
        print(line)
    every, once = (costs[max(costs)] * (1.0 / max(costs)) for _, _, costs in rows)
    print(
        f"a job costs {once.wall / every.wall:.0%} of the wall and "
        f"{once.cpu / every.cpu:.0%} of the CPU"
    )
    print("* scaled from fewer jobs")


if __name__ == "__main__":
    main()
