"""REANA's own checker of Gherkin files, from the release of reana-commons that has it.

``python -m tests.support.reana_server.features WORKFLOW FILE…``, with that release first on
Python's path, prints a line for every scenario: its result, its name and, after a colon, why it
failed.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import requests


def get(workflow: str, what: str, body: Any = None) -> requests.Response:
    """An answer of the server about a workflow."""
    token = os.environ["REANA_ACCESS_TOKEN"]
    answer = requests.get(
        f"{os.environ['REANA_SERVER_URL']}/api/workflows/{workflow}/{what}",
        # The first is REANA 0.9's way, the second that of 0.95.
        params={"access_token": token},
        headers={"Authorization": f"Bearer {token}"},
        json=body,
    )
    answer.raise_for_status()
    return answer


def main(workflow: str, *features: str) -> None:
    """Check a finished workflow against every feature file."""
    from reana_commons.gherkin_parser.data_fetcher import DataFetcherBase
    from reana_commons.gherkin_parser.parser import parse_and_run_tests

    class Fetcher(DataFetcherBase):
        def list_files(self, workflow, file_name=None, page=None, size=None, search=None):
            items = get(workflow, "workspace").json()["items"]
            return [item for item in items if item["name"] == file_name]

        def get_workflow_disk_usage(self, workflow, parameters):
            return get(workflow, "disk_usage", parameters).json()

        def get_workflow_logs(self, workflow, steps=None, page=None, size=None):
            return get(workflow, "logs", steps).json()

        def get_workflow_status(self, workflow):
            return get(workflow, "status").json()

        def get_workflow_specification(self, workflow):
            return get(workflow, "specification").json()

        def download_file(self, workflow, file_name):
            return get(workflow, f"workspace/{file_name.lstrip('/')}").content, file_name, False

    for feature in features:
        for result in parse_and_run_tests(feature, workflow, Fetcher())[1]:
            print(f"{result.result.name} {result.scenario}: {result.error_log or ''}")


if __name__ == "__main__":
    main(*sys.argv[1:])
