#!/usr/bin/env python3
"""Lets zarr-python and xarray judge a Zarr store of a sink.

    zarr_judges.py STORE HOUR=MAP.nc:REVISION ...

- zarr-python: the store is one group of version 3, its consolidated metadata say the same as those of each array,
  every chunk can be read;
- xarray, with warnings as errors, by the consolidated metadata and without: times go by the step that the store says,
  every hour that is told has the values of its map to the bit and its revision, every other hour has neither;
- cf-xarray: finds latitude, longitude (or X, Y) and time by what the store says, and the bounds.

Exit code 1 if any judge objects, each objection a line.
"""

import sys
import warnings

import cf_xarray  # noqa: F401  (registers `.cf`)
import numpy as np
import xarray
import zarr


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def judge_zarr(store):
    with_all = zarr.open_group(store, mode="r", use_consolidated=True)
    alone = zarr.open_group(store, mode="r", use_consolidated=False)
    if with_all.metadata.zarr_format != 3:
        yield f"zarr: format {with_all.metadata.zarr_format}"
    names = sorted(name for name, _ in alone.arrays())
    if names != sorted(with_all.metadata.consolidated_metadata.metadata):
        yield f"zarr: {names} are there, others are told"
    for name, array in with_all.arrays():
        # As text: no fill value that is not a number equals itself.
        told, there = str(array.metadata.to_dict()), str(alone[name].metadata.to_dict())
        if told != there:
            yield f"zarr: {name}: {told} is told, {there} is there"
        if array[...].shape != array.shape:
            yield f"zarr: {name}: read with shape {array[...].shape}, not {array.shape}"


def judge_xarray(store, hours, consolidated):
    data = xarray.open_zarr(store, consolidated=consolidated)
    step = np.timedelta64(int(data.attrs["isopleth_store_step"]), "s")
    if not (np.diff(data.time.values) == step).all():
        yield f"xarray: times do not go by {step}: {data.time.values}"
    revisions = data.isopleth_revision.values
    maps = [name for name, v in data.data_vars.items() if v.attrs.get("coverage_content_type") and v.ndim == 3]
    if not maps:
        yield "xarray: there are no maps"
    told = {np.datetime64(hour): (path, revision) for hour, path, revision in hours}
    if told and data.time.values[-1] < max(told):
        yield f"xarray: the axis of time ends at {data.time.values[-1]}"
    for k, time in enumerate(data.time.values):
        if time not in told:
            if revisions[k] != 0 or not all(np.isnan(data[name][k].values).all() for name in maps):
                yield f"xarray: there is something at {time}"
            continue
        path, revision = told[time]
        if revisions[k] != revision:
            yield f"xarray: {time} has revision {revisions[k]}, not {revision}"
        with xarray.open_dataset(path, mask_and_scale=True) as wanted:
            for name in maps:
                if name not in wanted:
                    if not np.isnan(data[name][k].values).all():
                        yield f"xarray: {name} at {time} has values that its map has not"
                    continue
                map_ = wanted[name].isel(time=0) if "time" in wanted[name].dims else wanted[name]
                if data[name].dtype != map_.dtype or not same(data[name][k], map_):
                    yield f"xarray: {name} at {time} is not as in {path}"
                for other in map_.coords:
                    if other != "time" and not same(data[name].coords[other], map_.coords[other]):
                        yield f"xarray: coordinate {other} of {name} is not as in {path}"
                for attribute in ("units", "long_name", "standard_name", "cell_methods"):
                    if data[name].attrs.get(attribute) != map_.attrs.get(attribute):
                        yield f"xarray: {name}:{attribute} is {data[name].attrs.get(attribute)!r}"
    if data.time.encoding["dtype"] != np.dtype("int64"):
        yield f"xarray: times are {data.time.encoding['dtype']}"


def judge_cf(store):
    data = xarray.open_zarr(store, decode_coords="all")
    axes = data.cf.axes
    for axis in "TXY":
        if len(axes.get(axis, [])) != 1:
            yield f"cf-xarray: axis {axis} is {axes.get(axis)}"
    for axis in "XY":
        if not data.cf.bounds.get(axis):
            yield f"cf-xarray: axis {axis} has no bounds"
    if "crs" in data.variables and "crs" not in data.coords:
        yield "cf-xarray: the grid mapping is not found"


def main():
    store, *rest = sys.argv[1:]
    hours = []
    for text in rest:
        hour, what = text.split("=", 1)
        path, revision = what.rsplit(":", 1)
        hours.append((hour, path, int(revision)))
    warnings.simplefilter("error")
    # Of zarr-python itself, about what its own future may bring.
    warnings.filterwarnings("ignore", module="zarr")
    objections = [
        *judge_zarr(store),
        *judge_xarray(store, hours, True),
        *judge_xarray(store, hours, False),
        *judge_cf(store),
    ]
    for objection in objections:
        print(objection)
    return bool(objections)


if __name__ == "__main__":
    sys.exit(main())
