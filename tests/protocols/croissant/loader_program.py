"""Loads a Croissant document as a user does: its issues and its records as JSON. Run with the clients' Python."""

import json
import sys

import mlcroissant

dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
issues = dataset.metadata.ctx.issues
records = [
    {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in record.items()}
    for record in dataset.records("records")
]
print(json.dumps({"errors": sorted(issues.errors), "warnings": sorted(issues.warnings), "records": records}))
