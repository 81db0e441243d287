"""Writes the same readings in many forms: write.py FOLDER. The first is wide.csv, which the others are compared with."""

import json
import pathlib
import sys
from decimal import Decimal

import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr

folder = pathlib.Path(sys.argv[1])
STATIONS, HOURS = 12, 5
codes = [f"S{k:02}" for k in range(STATIONS)]
codes[3] = "Žižkov"
lon = np.round(14.1 + 0.37 * (np.arange(STATIONS) * 5 % STATIONS), 2)
lat = np.round(50.2 - 0.11 * (np.arange(STATIONS) * 7 % STATIONS), 2)
times = pd.date_range("2026-01-31T22:00", periods=HOURS, freq="h")
values = {}
for v, name in enumerate(["pm10", "pm25"]):
    of = 20 + v + np.add.outer(np.arange(STATIONS) * 1.7, np.arange(HOURS) * 0.3)
    of = np.round(of, 1)
    of[(np.arange(STATIONS)[:, None] * 3 + np.arange(HOURS) * 2 + v) % 7 == 3] = np.nan
    values[name] = of

wide = pd.DataFrame(
    [
        {"station": codes[s], "lon": lon[s], "lat": lat[s], "time": times[t], **{n: values[n][s, t] for n in values}}
        for s in range(STATIONS)
        for t in range(HOURS)
    ]
)
text = wide.assign(time=wide.time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
text.to_csv(folder / "wide.csv", index=False)
text.to_csv(folder / "wide.csv.gz", index=False)

# GeoJSON, as geopandas writes it: properties beside points, missing as null.
none = lambda x: None if isinstance(x, float) and np.isnan(x) else x


def feature(place, properties, **more):
    point = {"type": "Point", "coordinates": [float(place[0]), float(place[1])]}
    return {"type": "Feature", **more, "properties": properties, "geometry": point}


def collection(name, features):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    whole = {"type": "FeatureCollection", "name": "readings", "crs": crs, "features": features}
    (folder / name).write_text(json.dumps(whole))


rows = [r._asdict() for r in text.itertuples(index=False)]
collection(
    "wide.geojson",
    [feature((r["lon"], r["lat"]), {k: none(r[k]) for k in ("station", "time", "pm10", "pm25")}) for r in rows],
)
collection(
    "ids.geojson",
    [
        feature((r["lon"], r["lat"], 240.0), {k: none(r[k]) for k in ("time", "pm10", "pm25")}, id=r["station"])
        for r in rows
    ],
)
long = text.melt(["station", "lon", "lat", "time"], ["pm10", "pm25"], "parameter", "value")
collection(
    "long.geojson",
    [
        feature((r.lon, r.lat), {"station": r.station, "time": r.time, "parameter": r.parameter, "value": none(r.value)})
        for r in long.itertuples(index=False)
    ],
)

# Parquet.
table = pa.Table.from_pandas(wide.assign(time=wide.time.dt.tz_localize("UTC")), preserve_index=False)
for compression in ["none", "snappy", "gzip", "zstd", "lz4"]:
    pq.write_table(table, folder / f"{compression}.parquet", compression=compression)
pq.write_table(table, folder / "groups.parquet", row_group_size=7, data_page_version="2.0", compression="gzip")
pq.write_table(table, folder / "plain.parquet", use_dictionary=False, data_page_size=64, write_statistics=False)
pq.write_table(
    table,
    folder / "split.parquet",
    use_dictionary=False,
    column_encoding={"pm10": "BYTE_STREAM_SPLIT", "pm25": "BYTE_STREAM_SPLIT", "time": "DELTA_BINARY_PACKED"},
)
pq.write_table(
    table, folder / "differences.parquet", use_dictionary=False, column_encoding={"station": "DELTA_BYTE_ARRAY"}
)
wide.assign(time=wide.time.dt.tz_localize("UTC")).to_parquet(folder / "pandas.parquet")
single = table.set_column(4, "pm10", table["pm10"].cast(pa.float32())).set_column(5, "pm25", table["pm25"].cast(pa.float32()))
pq.write_table(single, folder / "single.parquet")
odd = pa.table(
    {
        "station": pa.array(text.station).dictionary_encode(),
        "lon": table["lon"],
        "lat": table["lat"],
        "time": pa.array(wide.time, pa.timestamp("ns")),
        "pm10": pa.array([None if np.isnan(x) else Decimal(str(x)) for x in wide.pm10], pa.decimal128(38, 18)),
        "pm25": pa.array([None if np.isnan(x) else Decimal(str(x)) for x in wide.pm25], pa.decimal128(9, 1)),
        "tags": pa.array([["a", "b"]] * len(wide)),
        "elevation": pa.array([240] * len(wide), pa.int16()),
    }
)
pq.write_table(odd, folder / "odd.parquet", use_deprecated_int96_timestamps=False, store_decimal_as_integer=True)
pq.write_table(odd, folder / "int96.parquet", use_deprecated_int96_timestamps=True)
# As the downloads of the EEA are: long, numbers for pollutants, a decimal, times without a zone.
long_rows = long.dropna(subset=["value"])
stamp = pd.to_datetime(long_rows.time.str.rstrip("Z"))
eea = pa.table(
    {
        "Samplingpoint": pa.array(long_rows.station),
        "Pollutant": pa.array(long_rows.parameter.map({"pm10": 5, "pm25": 6001}), pa.int32()),
        "Start": pa.array(stamp, pa.timestamp("ns")),
        "End": pa.array(stamp + pd.Timedelta(hours=1), pa.timestamp("ns")),
        "Value": pa.array([Decimal(str(x)) for x in long_rows.value], pa.decimal128(38, 18)),
        "Unit": pa.array(["ug.m-3"] * len(long_rows)),
        "AggType": pa.array(["hour"] * len(long_rows)),
        "Validity": pa.array([1] * len(long_rows), pa.int32()),
        "Verification": pa.array([3] * len(long_rows), pa.int32()),
    }
)
pq.write_table(eea, folder / "eea.parquet", compression="snappy")
text.drop_duplicates("station")[["station", "lon", "lat"]].to_csv(folder / "stations.csv", index=False)

# NetCDF.
UNITS = "hours since 2026-01-31 00:00:00"
hours = np.array([(t - pd.Timestamp("2026-01-31")) / pd.Timedelta(hours=1) for t in times])


def begin(name, form="NETCDF4", texts=str, dimension=True, **extra):
    file = netCDF4.Dataset(folder / name, "w", format=form)
    file.featureType = "timeSeries"
    file.Conventions = "CF-1.11"
    file.createDimension("station", STATIONS)
    for axis, of, standard in [("lon", lon, "longitude"), ("lat", lat, "latitude")]:
        variable = file.createVariable(axis, "f8", ("station",))
        variable.standard_name = standard
        variable.units = {"lon": "degrees_east", "lat": "degrees_north"}[axis]
        variable[:] = of
    if texts is str:
        ids = file.createVariable("station_name", str, ("station",))
        ids[:] = np.array(codes, dtype=object)
    else:
        file.createDimension("name_strlen", 10)
        ids = file.createVariable("station_name", "S1", ("station", "name_strlen"))
        ids._Encoding = "utf-8"
        ids[:] = np.array(codes, dtype="U10")
    ids.cf_role = "timeseries_id"
    return file


def clock(file, dimensions, kind="f8", **options):
    variable = file.createVariable("time", kind, dimensions, **options)
    variable.units, variable.standard_name = UNITS, "time"
    return variable


def reading(file, name, dimensions, kind="f8", **options):
    variable = file.createVariable(name, kind, dimensions, fill_value=options.pop("fill", -9.0), **options)
    variable.units, variable.coordinates = "ug m-3", "time lat lon station_name"
    return variable


for name, form, texts, kind, transposed in [
    ("orthogonal.nc", "NETCDF4", str, "f8", False),
    ("transposed.nc", "NETCDF4", str, "f4", True),
    ("classic.nc", "NETCDF3_CLASSIC", list, "f8", False),
    ("offset.nc", "NETCDF3_64BIT_OFFSET", list, "f4", True),
    ("cdf5.nc", "NETCDF3_64BIT_DATA", list, "f8", False),
    ("model.nc", "NETCDF4_CLASSIC", list, "f8", False),
]:
    with begin(name, form, texts) as file:
        file.createDimension("time", None if transposed else HOURS)
        clock(file, ("time",))[:] = hours
        for variable, of in values.items():
            packed = {"zlib": True, "shuffle": True} if form.startswith("NETCDF4") else {}
            dims = ("time", "station") if transposed else ("station", "time")
            reading(file, variable, dims, kind, **packed)[:] = np.ma.masked_invalid(of.T if transposed else of)

with begin("packed.nc") as file:
    file.createDimension("time", HOURS)
    clock(file, ("time",), "i4")[:] = hours
    for variable, of in values.items():
        packed = reading(file, variable, ("station", "time"), "i2", fill=np.int16(-32768))
        packed.scale_factor, packed.add_offset = np.float32(0.1), np.float32(0.0)
        packed[:] = np.ma.array(np.nan_to_num(of), mask=np.isnan(of))
    quality = file.createVariable("pm10_qc", "i1", ("station", "time"))
    quality.flag_values, quality.flag_meanings = np.array([0, 1], "i1"), "good bad"
    quality[:] = 0

# Ragged: only hours with a reading.
there = ~np.isnan(values["pm10"]) | ~np.isnan(values["pm25"])
most = there.sum(1).max()
with begin("incomplete.nc") as file:
    file.createDimension("obs", most)
    when = clock(file, ("station", "obs"), fill_value=-1.0)
    both = {n: reading(file, n, ("station", "obs")) for n in values}
    for s in range(STATIONS):
        count = there[s].sum()
        when[s, :count] = hours[there[s]]
        for n, of in values.items():
            both[n][s, :count] = np.ma.masked_invalid(of[s, there[s]])
with begin("contiguous.nc") as file:
    file.createDimension("obs", there.sum())
    counts = file.createVariable("row_size", "i4", ("station",))
    counts.sample_dimension = "obs"
    counts[:] = there.sum(1)
    clock(file, ("obs",))[:] = np.concatenate([hours[there[s]] for s in range(STATIONS)])
    for n, of in values.items():
        reading(file, n, ("obs",))[:] = np.ma.masked_invalid(of[there])
with begin("indexed.nc") as file:
    file.createDimension("obs", None)
    index = file.createVariable("of_station", "i4", ("obs",))
    index.instance_dimension = "station"
    # Hour by hour, as they come in; the first hour has all stations in their order.
    order = np.argwhere(np.ones_like(there.T))
    index[:] = order[:, 1]
    clock(file, ("obs",))[:] = hours[order[:, 0]]
    for n, of in values.items():
        reading(file, n, ("obs",))[:] = np.ma.masked_invalid(of.T.ravel())

# Points: every reading with a place of its own.
xr.Dataset(
    {n: ("obs", wide[n].to_numpy(), {"units": "ug m-3"}) for n in values},
    {
        "lon": ("obs", wide.lon.to_numpy(), {"units": "degrees_east"}),
        "lat": ("obs", wide.lat.to_numpy(), {"units": "degrees_north"}),
        "time": ("obs", wide.time.to_numpy()),
        "station_id": ("obs", wide.station.to_numpy().astype(str), {"cf_role": "timeseries_id"}),
    },
    {"featureType": "point"},
).to_netcdf(folder / "points.nc", engine="netcdf4")
# As xarray has it from pandas, without a word of CF.
dataset = xr.Dataset(
    {n: (("station", "time"), values[n], {"units": "ug m-3"}) for n in values},
    {"station": codes, "time": times, "lon": ("station", lon), "lat": ("station", lat)},
)
dataset.to_netcdf(folder / "xarray.nc", engine="netcdf4")
dataset.isel(station=4).to_netcdf(folder / "one.nc", engine="netcdf4")

# What says that it is large, and is small.
with begin("huge.nc") as file:
    file.createDimension("time", 2_000_000_000)
    clock(file, ("time",))
    reading(file, "pm10", ("station", "time"))
with begin("many.nc", texts=list) as file:
    file.createDimension("obs", 1_000_000_000)
    clock(file, ("station", "obs"))
    reading(file, "pm10", ("station", "obs"))
with netCDF4.Dataset(folder / "stations.nc", "w") as file:
    file.createDimension("station", 1_000_000_000)
    for name, units in [("lon", "degrees_east"), ("lat", "degrees_north")]:
        file.createVariable(name, "f8", ("station",)).units = units
    file.createVariable("pm10", "f8", ("station",))
with netCDF4.Dataset(folder / "field.nc", "w") as file:
    for name, units in [("lon", "degrees_east"), ("lat", "degrees_north")]:
        file.createDimension(name, 4)
        file.createVariable(name, "f8", (name,)).units = units
    file.createVariable("pm10", "f8", ("lat", "lon"))
numbers = np.full(10_000_000, 1.5)
same = pa.table({"station": pa.array(numbers).cast(pa.string()), "lon": numbers, "lat": numbers, "pm10": numbers})
pq.write_table(same, folder / "rows.parquet", compression="zstd")
# One page of 80 MB that becomes some kilobytes.
zeros = np.zeros(10_000_000)
page = pa.table({"station": pa.array(zeros).cast(pa.string()), "lon": zeros, "lat": zeros, "pm10": zeros})
for compression in ["gzip", "zstd", "snappy"]:
    pq.write_table(
        page,
        folder / f"page-{compression}.parquet",
        compression=compression,
        use_dictionary=False,
        data_page_size=1 << 30,
        max_rows_per_page=1 << 30,
        row_group_size=1 << 30,
        write_statistics=False,
    )
