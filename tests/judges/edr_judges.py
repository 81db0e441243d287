#!/usr/bin/env python3
"""Lets programs that know nothing of Isopleth judge its collections (OGC API - EDR) in a running service.

    .venv/bin/python tests/judges/edr_judges.py http://127.0.0.1:8080 COLLECTION PARAMETER LON,LAT WEST,SOUTH,EAST,NORTH

- edr-pydantic accepts the collections, and each of them alone;
- OWSLib finds them from the landing page and asks for positions, areas and cubes;
- covjson-pydantic accepts what comes; a position within a cell's centre has the cell's value.

Exit code 1 if anybody objects, each objection a line.
"""

import json
import sys

from covjson_pydantic.coverage import Coverage
from edr_pydantic.collections import Collection, Collections
from owslib.ogcapi.edr import EnvironmentalDataRetrieval


def judge(url, name, parameter, place, bounds):
    client = EnvironmentalDataRetrieval(url)
    if not any(link["rel"] == "data" for link in client.links):
        yield "the landing page leads to no data"
    claimed = client.conformance()["conformsTo"]
    for part in ("core", "collections", "queries", "json", "covjson"):
        if f"http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{part}" not in claimed:
            yield f"EDR's {part} is not claimed"
    all_of_them = client.collections()
    Collections.model_validate_json(json.dumps(all_of_them))
    if name not in client.data():
        yield f"OWSLib finds {client.data()}"
    one = client.collection(name)
    Collection.model_validate_json(json.dumps(one))
    if one not in all_of_them["collections"]:
        yield "a collection alone is not what it is in the list"
    if parameter not in one["parameter_names"]:
        yield f"parameters are {list(one['parameter_names'])}"
    times = one["extent"]["temporal"]["interval"][0]
    west, south, east, north = bounds

    def asked(kind, **query):
        answer = client.query_data(name, kind, parameter_names=[parameter], f="CoverageJSON", **query)
        coverage = Coverage.model_validate_json(json.dumps(answer))
        if list(coverage.ranges) != [parameter]:
            raise AssertionError(f"{kind}: has {list(coverage.ranges)}")
        return coverage

    cube = asked("cube", bbox=bounds, datetime_=f"{times[0]}/{times[1]}")
    axes = cube.domain.axes
    values = cube.ranges[parameter]
    if cube.domain.domainType.value != "Grid" or values.axisNames != ["t", "y", "x"]:
        yield f"a cube is {cube.domain.domainType}, {values.axisNames}"
    if values.shape != [len(axes.t.values), len(axes.y.values), len(axes.x.values)]:
        yield f"a cube's values are {values.shape}"
    if not all(west <= x <= east for x in axes.x.values) or not all(south <= y <= north for y in axes.y.values):
        yield "a cube reaches beyond its bounds"
    open_end = asked("cube", bbox=bounds, datetime_=f"{times[1]}/..")
    if len(open_end.domain.axes.t.values) != 1:
        yield f"from the last time on there are {open_end.domain.axes.t.values}"
    ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
    area = asked("area", coords=f"POLYGON(({ring}))", datetime_=times[0])
    rows = len(axes.y.values) * len(axes.x.values)
    if area.ranges[parameter].values != values.values[:rows]:
        yield "an area that is a rectangle has not the cells of the cube"
    fine = asked("cube", bbox=bounds, datetime_=times[0], resolution_x=7, resolution_y=5)
    if fine.ranges[parameter].shape != [1, 5, 7]:
        yield f"7 by 5 places are {fine.ranges[parameter].shape}"
    series = asked("position", coords=f"POINT({place[0]} {place[1]})")
    if series.domain.domainType.value != "PointSeries" or len(series.domain.axes.t.values) < 2:
        yield f"a position is {series.domain}"
    x, y = axes.x.values[1], axes.y.values[1]
    on_a_cell = asked("position", coords=f"POINT({x} {y})", datetime_=times[0])
    if on_a_cell.ranges[parameter].values != [values.values[len(axes.x.values) + 1]]:
        yield "at the centre of a cell a position has another value than the cell"
    several = client.query_data(name, "position", coords=f"MULTIPOINT({x} {y},{place[0]} {place[1]})")
    for coverage in several["coverages"]:
        Coverage.model_validate_json(json.dumps(coverage))
    if client.query_data(name, "position", coords="POINT(0 -89)"):
        yield "there is something where there is nothing"


def main():
    url, name, parameter, place, bounds = sys.argv[1:]
    place, bounds = ([float(number) for number in text.split(",")] for text in (place, bounds))
    try:
        objections = list(judge(url, name, parameter, place, bounds))
    except Exception as error:  # a judge that stumbles objects
        objections = [f"{type(error).__name__}: {error}"]
    for objection in objections:
        print(objection)
    sys.exit(bool(objections))


if __name__ == "__main__":
    main()
