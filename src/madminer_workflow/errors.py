"""The two ways a command can fail; everything else is a bug and shows a traceback."""


class InputError(Exception):
    """The user's input is wrong: the command ends with exit code 2 and this message."""


class StepError(Exception):
    """A step could not do its work: the command ends with exit code 1 and this message."""


EXTRAS = {
    "dask": "dask",
    "dask_jobqueue": "dask",
    "distributed": "dask",
    "kubernetes": "kubernetes",
    "mlflow": "mlflow",
    "optuna": "sweep",
    "pyarrow": "parquet",
}
"""Packages that an analysis can do without, and the extra of this package that brings each."""


def not_installed(error: ModuleNotFoundError) -> InputError:
    """What to say about a package of ``EXTRAS``; any other error is raised again."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        raise error
    extra = EXTRAS[package]
    return InputError(
        f"{package} is not installed: pip install 'madminer-workflow[{extra}]', or, in a clone "
        f"of the repository, make setup EXTRA={extra}"
    )
