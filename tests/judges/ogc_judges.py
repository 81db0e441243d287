#!/usr/bin/env python3
"""Lets programs that know nothing of Isopleth judge its processes (OGC API - Processes) in a running service.

    .venv/bin/python tests/judges/ogc_judges.py http://127.0.0.1:8080

- openapi-spec-validator accepts both descriptions of the interface, 3.1 and 3.0;
- OWSLib finds the processes from the landing page, reads what they take, and runs them at once and as jobs;
- jsonschema accepts every input that is sent by the schema that the process gives it, and refuses another;
- what is told of jobs has what `statusInfo` of the standard (18-062r2) must have.

Exit code 1 if anybody objects, each objection a line.
"""

import base64
import sys
import time

import jsonschema
import requests
from openapi_spec_validator import validate
from owslib.ogcapi.processes import Processes

READINGS = "station,lon,lat,time,pm25\n" + "".join(
    f"s{i},{100 + i * 7 % 10 + i * 31 % 100 / 100},{30 + i * 3 % 8 + i * 17 % 100 / 100},2026-03-01T0{t}:00:00Z,{30 + i * 13 % 50}\n"
    for t in range(2)
    for i in range(1, 31)
)
TABLE = {"value": READINGS, "mediaType": "text/csv"}
GRID = {"bounds": [100, 30, 110, 38], "shape": [21, 17]}
POINTS = [{"lon": 104.5, "lat": 33.9}, {"lon": 102.0, "lat": 36.5}]

LINK = {"type": "object", "required": ["href"], "properties": {"href": {"type": "string", "pattern": "^http"}}}
TEXTS = {"type": "array", "items": {"type": "string"}}
SUMMARY = {
    "type": "object",
    "required": ["id", "version"],
    "properties": {
        "id": {"type": "string"},
        "version": {"type": "string"},
        "title": {"type": "string"},
        "keywords": TEXTS,
        "jobControlOptions": {"type": "array", "items": {"enum": ["sync-execute", "async-execute", "dismiss"]}},
        "outputTransmission": {"type": "array", "items": {"enum": ["value", "reference"]}},
        "links": {"type": "array", "items": LINK},
    },
}
DESCRIBED = {
    "type": "object",
    "required": ["schema"],
    "properties": {
        "title": {"type": "string"},
        "description": {"type": "string"},
        "minOccurs": {"type": "integer"},
        "maxOccurs": {"type": "integer"},
        "schema": {"type": "object"},
    },
}
PROCESS = {
    "allOf": [SUMMARY],
    "required": ["inputs", "outputs"],
    "properties": {
        "inputs": {"type": "object", "additionalProperties": DESCRIBED},
        "outputs": {"type": "object", "additionalProperties": DESCRIBED},
    },
}
MOMENT = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
STATUS = {
    "type": "object",
    "required": ["jobID", "status", "type", "processID", "id"],
    "properties": {
        "processID": {"enum": ["map", "points", "crossvalidation"]},
        "type": {"const": "process"},
        "jobID": {"type": "string"},
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "message": {"type": "string"},
        "created": MOMENT,
        "started": MOMENT,
        "finished": MOMENT,
        "updated": MOMENT,
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "links": {"type": "array", "items": LINK},
    },
}
JOBS = {
    "type": "object",
    "required": ["jobs", "links"],
    "properties": {"jobs": {"type": "array", "items": STATUS}, "links": {"type": "array", "items": LINK}},
}


def plain(value):
    """What a qualified value qualifies."""
    return value["value"] if isinstance(value, dict) and "value" in value else value


def schema_of(described):
    """A schema of OpenAPI 3.0 as jsonschema understands it."""
    if isinstance(described, list):
        return [schema_of(one) for one in described]
    if not isinstance(described, dict):
        return described
    made = {name: schema_of(one) for name, one in described.items() if name != "nullable"}
    if made.get("exclusiveMinimum") is True:
        made["exclusiveMinimum"] = made.pop("minimum")
    return {"anyOf": [made, {"type": "null"}]} if described.get("nullable") is True else made


def judge(url):
    client = Processes(url)
    validate(client.api())
    validate(requests.get(f"{url}/openapi.json", timeout=30).json())
    claimed = client.conformance()["conformsTo"]
    for part in ("core", "json", "oas30", "job-list", "dismiss", "ogc-process-description"):
        if f"http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/{part}" not in claimed:
            yield f"{part} is not claimed"
    rels = [link["rel"] for link in client.links]
    for rel in ("conformance", "processes", "job-list"):
        if f"http://www.opengis.net/def/rel/ogc/1.0/{rel}" not in rels:
            yield f"the landing page leads to no {rel}"
    names = [process["id"] for process in client.processes()]
    if names != ["map", "points", "crossvalidation"]:
        yield f"processes are {names}"
    for summary in client.processes():
        jsonschema.validate(summary, SUMMARY)

    runs = {
        "map": ({"grid": {"value": GRID}, "method": {"value": {"kernel": "linear"}}, "readings": TABLE}, "map"),
        "points": ({"points": POINTS, "readings": TABLE, "precision": "f64"}, "values"),
        "crossvalidation": ({"readings": TABLE, "folds": ["5"]}, "errors"),
    }
    for name, (inputs, output) in runs.items():
        process = client.process(name)
        jsonschema.validate(process, PROCESS)
        if list(process["outputs"]) != [output]:
            yield f"{name} has the outputs {list(process['outputs'])}"
        for given, value in inputs.items():
            jsonschema.validate(plain(value), schema_of(process["inputs"][given]["schema"]))
        try:
            jsonschema.validate({"kernel": "none"}, schema_of(process["inputs"]["method"]["schema"]))
            yield f"{name} takes any kernel"
        except jsonschema.ValidationError:
            pass
        at_once = client.execute(name, inputs)
        made = at_once[output]
        if made.get("encoding") == "base64" and not base64.b64decode(made["value"]).startswith(b"\x89HDF"):
            yield f"{name}: the file is none"
        accepted = client.execute(name, inputs, async_=True)
        jsonschema.validate(accepted, STATUS)
        if client.response_headers["Preference-Applied"] != "respond-async":
            yield f"{name}: the preference is not said to be applied"
        where = client.response_headers["Location"]
        begin = time.monotonic()
        while True:
            status = requests.get(where, timeout=30).json()
            jsonschema.validate(status, STATUS)
            if status["status"] not in ("accepted", "running"):
                break
            # The limit only ends a test that has failed.
            if time.monotonic() - begin > 120:
                raise AssertionError(status)
            time.sleep(0.05)
        result = [one["href"] for one in status["links"] if one["rel"].endswith("/results")]
        document = requests.get(result[0], timeout=30).json()
        if name == "points" and document[output]["value"]["values"] != made["value"]["values"]:
            yield "a job gives other values than a request at once"
        if list(document) != [output]:
            yield f"{name}: the document has {list(document)}"
    listed = requests.get(f"{url}/jobs", params={"processID": "points", "limit": 5}, timeout=30).json()
    jsonschema.validate(listed, JOBS)
    if [job["processID"] for job in listed["jobs"]] != ["points"]:
        yield f"jobs of points are {listed}"
    gone = requests.delete(f"{url}/jobs/{listed['jobs'][0]['jobID']}", timeout=30).json()
    jsonschema.validate(gone, STATUS)
    if gone["status"] != "dismissed":
        yield f"dismissed is {gone}"
    for path, kind in (("/processes/none", "no-such-process"), ("/jobs/none", "no-such-job")):
        answer = requests.get(url + path, timeout=30)
        if answer.status_code != 404 or not answer.json()["type"].endswith(kind):
            yield f"{path}: {answer.status_code} {answer.text}"


if __name__ == "__main__":
    objections = list(judge(sys.argv[1].rstrip("/")))
    for objection in objections:
        print(objection)
    sys.exit(bool(objections))
