"""A real Slurm of two nodes on this machine, from Debian's packages (slurm-wlm, munge)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "squeue")
CONFIGURATION = """
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=2
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool.%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.%n.log
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=n1 NodeHostname=localhost Port={ports[1]} CPUs=1 RealMemory={memory} State=UNKNOWN
NodeName=n2 NodeHostname=localhost Port={ports[2]} CPUs=1 RealMemory={memory} State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Why no Slurm can be started here; nothing if one can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)} here: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "only root can start Slurm's daemons"


@contextlib.contextmanager
def slurm(place: Path) -> Iterator[None]:
    """Two nodes of one core each, which ``sbatch`` of this process and its children knows."""
    if reason := why_not():
        pytest.skip(reason)
    for folder in ("state", "spool.n1", "spool.n2"):
        (place / folder).mkdir(parents=True)
    # Munge wants its own files nobody else's to write, and a way to its socket for everybody.
    place.chmod(0o755)
    (place / "munge.key").write_bytes(os.urandom(128))
    (place / "munge.key").chmod(0o400)
    configuration = CONFIGURATION.format(place=place, ports=_free_ports(3), memory=9000)
    (place / "slurm.conf").write_text(configuration)
    variables = {"SLURM_CONF": str(place / "slurm.conf")}
    munge = [f"--{file}-file={place}/munge.{file}" for file in ("key", "pid", "seed")]
    commands = [
        ["munged", "--foreground", "--force", f"--socket={place}/munge.socket", *munge],
        ["slurmctld", "-D"],
        *(["slurmd", "-D", "-N", node] for node in ("n1", "n2")),
    ]
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for name, value in variables.items():
            patch.setenv(name, value)
        for number, command in enumerate(commands):
            stack.enter_context(_daemon(command, place / f"{number}_{command[0]}.out"))
            if command[0] == "munged":
                _wait(lambda: (place / "munge.socket").exists())
        _wait(lambda: _idle_nodes() == 2)
        yield


@contextlib.contextmanager
def _daemon(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def jobs() -> list[str]:
    """The names of all jobs that run or wait."""
    listed = subprocess.run(["squeue", "-h", "-o", "%j"], capture_output=True, text=True)
    return listed.stdout.split()


def _idle_nodes() -> int:
    listed = subprocess.run(["sinfo", "-h", "-N", "-o", "%t"], capture_output=True, text=True)
    return listed.stdout.split().count("idle")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "Slurm does not start"
        time.sleep(0.2)
