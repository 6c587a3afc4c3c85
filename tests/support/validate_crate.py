"""Run by the Python of ``make audit``: what roc-validator has to say of a crate, without a network.

    python validate_crate.py FOLDER CONTEXTS

CONTEXTS is a folder with the JSON-LD contexts that a crate names, by the last part but one of their
addresses. Prints a line for each check that fails; exits with 1 if there are any.
"""

import sys
import tempfile
from pathlib import Path

import requests
from rocrate_validator import services
from rocrate_validator.models import ValidationSettings
from rocrate_validator.utils.http import HttpRequester

PROFILE = "provenance-run-crate"


def main(folder: str, contexts: str) -> int:
    def local(_: object, url: str, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url = 200, url
        response.headers["Content-Type"] = "application/ld+json"
        response._content = Path(contexts, f"{url.split('/')[-2]}.json").read_bytes()
        return response

    HttpRequester.get = local
    with tempfile.TemporaryDirectory() as cache:
        settings = ValidationSettings(
            rocrate_uri=folder,
            profile_identifier=PROFILE,
            offline=True,
            cache_path=Path(cache) / "cache",
        )
        result = services.validate(settings)
    for issue in result.get_issues():
        print(f"{issue.check.identifier}: {issue.message}")
    print(f"{len(result.executed_checks)} checks")
    return 0 if result.passed() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
