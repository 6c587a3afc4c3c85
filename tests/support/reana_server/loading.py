"""What a server of REANA 0.95 does with a specification: ``python loading.py WORKSPACE``.

Run by the interpreter of REANA's client 0.95, whose reana-commons has the schema of specifications
and loads workflows as the server does; prints the specification as JSON, or why it is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import yaml
from reana_commons.config import reana_yaml_schema_file_path
from reana_commons.yadage import yadage_load_from_workspace


def main(workspace: str) -> None:
    """Load ``reana.yaml`` of a workspace and the workflow that it names."""
    specification = yaml.safe_load((Path(workspace) / "reana.yaml").read_text())
    jsonschema.validate(specification, json.loads(Path(reana_yaml_schema_file_path).read_text()))
    yadage_load_from_workspace(workspace, specification, "")
    print(json.dumps(specification))


if __name__ == "__main__":
    main(sys.argv[1])
