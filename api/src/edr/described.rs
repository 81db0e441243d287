//! What a collection is: its extent, its parameters and the ways to ask for their values.

use std::collections::{BTreeMap, BTreeSet};

use isopleth_engine::export::Form;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{CRS84, Stretch};
use super::stations::network_of;
use crate::error::ApiError;
use crate::jobs::heads::{self, Kind, NO_NETWORK, Parameter};
use crate::ogc::Base;
use crate::state::AppState;
use crate::wire::jobs::Link;
use crate::wire::network::moment;

/// Stretches of time told one by one, at most; beyond, only the whole of them.
const MOST_TIMES: usize = 1000;

/// Forms of values: those of positions come first.
pub(crate) const FORMS: [Form; 4] = [Form::CoverageJson, Form::Csv, Form::NetCdf, Form::GeoTiff];

/// Forms of values at positions.
pub(crate) const FORMS_OF_PLACES: [Form; 2] = [Form::CoverageJson, Form::Csv];

/// The collections there are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionsAnswer {
    links: Vec<Link>,
    collections: Vec<CollectionAnswer>,
}

/// Maps of one network.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CollectionAnswer {
    /// The network's name; `maps`: of no registered network.
    id: String,
    title: String,
    description: String,
    keywords: Vec<String>,
    links: Vec<Link>,
    extent: ExtentAnswer,
    /// Ways to ask for values, by their names.
    data_queries: BTreeMap<&'static str, QueryAnswer>,
    /// What `crs` may be.
    crs: Vec<&'static str>,
    /// What `f` may be.
    output_formats: Vec<String>,
    /// What `parameter-name` may be: maps, and the layers that say how sure they are.
    parameter_names: BTreeMap<String, ParameterAnswer>,
}

/// Where and when.
#[derive(Debug, Serialize, ToSchema)]
struct ExtentAnswer {
    spatial: SpatialAnswer,
    #[serde(skip_serializing_if = "Option::is_none")]
    temporal: Option<TemporalAnswer>,
}

/// Where.
#[derive(Debug, Serialize, ToSchema)]
struct SpatialAnswer {
    /// West, south, east, north; west is above east across the date line.
    bbox: Vec<[f64; 4]>,
    crs: &'static str,
}

/// When.
#[derive(Debug, Serialize, ToSchema)]
struct TemporalAnswer {
    /// First and last time.
    interval: Vec<[String; 2]>,
    /// The time, or first and last time, of each map.
    values: Vec<String>,
    trs: &'static str,
}

/// A way to ask for values.
#[derive(Debug, Serialize, ToSchema)]
struct QueryAnswer {
    link: QueryLinkAnswer,
}

/// Where that is.
#[derive(Debug, Serialize, ToSchema)]
struct QueryLinkAnswer {
    href: String,
    rel: &'static str,
    r#type: &'static str,
    variables: VariablesAnswer,
}

/// What it takes.
#[derive(Debug, Serialize, ToSchema)]
struct VariablesAnswer {
    title: &'static str,
    query_type: &'static str,
    output_formats: Vec<String>,
    default_output_format: String,
    crs_details: Vec<CrsAnswer>,
}

/// A system of coordinates.
#[derive(Debug, Serialize, ToSchema)]
struct CrsAnswer {
    crs: &'static str,
    wkt: &'static str,
}

/// A map or a layer.
#[derive(Debug, Serialize, ToSchema)]
struct ParameterAnswer {
    r#type: &'static str,
    id: String,
    label: String,
    description: String,
    #[serde(rename = "data-type")]
    data_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<UnitAnswer>,
    #[serde(rename = "observedProperty")]
    observed_property: PropertyAnswer,
}

/// A unit, as UDUNITS spells it.
#[derive(Debug, Serialize, ToSchema)]
struct UnitAnswer {
    label: String,
    symbol: String,
}

/// What is observed.
#[derive(Debug, Serialize, ToSchema)]
struct PropertyAnswer {
    /// Its name in CF's table of standard names.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    label: String,
}

const WKT: &str = "GEOGCRS[\"WGS 84 (CRS84)\",DATUM[\"World Geodetic System 1984\",ELLIPSOID[\"WGS 84\",\
    6378137,298.257223563,LENGTHUNIT[\"metre\",1]]],PRIMEM[\"Greenwich\",0],CS[ellipsoidal,2],\
    AXIS[\"longitude\",east,ORDER[1]],AXIS[\"latitude\",north,ORDER[2]],\
    ANGLEUNIT[\"degree\",0.0174532925199433],ID[\"OGC\",\"CRS84\"]]";

const TIMES: &str = "TIMECRS[\"DateTime\",TDATUM[\"Gregorian Calendar\"],CS[TemporalDateTime,1],\
    AXIS[\"Time (T)\",future]]";

/// The collections that share a place and a time with what is looked for.
///
/// # Errors
/// The database's.
pub(crate) fn all(
    state: &AppState,
    owner: Option<&str>,
    base: &Base,
    (bbox, times): (Option<[f64; 4]>, Stretch),
) -> Result<CollectionsAnswer, ApiError> {
    let kinds: Vec<Kind> = state.store().read(|c| heads::kinds(c, owner, None))?;
    let mut collections = Vec::new();
    for kinds in kinds.chunk_by(|a, b| a.collection == b.collection) {
        let fits = |kind: &Kind| {
            bbox.is_none_or(|bbox| kind.head.meets(bbox)) && overlap(kind.times, times)
        };
        if kinds.iter().any(fits) {
            collections.push(of(state, owner, base, kinds)?);
        }
    }
    let links = vec![link(base, "/collections", "self"), link(base, "/", "root")];
    Ok(CollectionsAnswer { links, collections })
}

/// One collection.
///
/// # Errors
/// 404.
pub(crate) fn one(
    state: &AppState,
    owner: Option<&str>,
    base: &Base,
    id: &str,
) -> Result<CollectionAnswer, ApiError> {
    of(state, owner, base, &kinds_of(state, owner, id)?)
}

/// What maps a collection has.
///
/// # Errors
/// 404.
pub(super) fn kinds_of(
    state: &AppState,
    owner: Option<&str>,
    id: &str,
) -> Result<Vec<Kind>, ApiError> {
    let kinds: Vec<Kind> = state.store().read(|c| heads::kinds(c, owner, Some(id)))?;
    if kinds.is_empty() {
        let text = format!("there is no collection `{id}`; GET /collections lists those there are");
        return Err(ApiError::not_found(text));
    }
    Ok(kinds)
}

fn of(
    state: &AppState,
    owner: Option<&str>,
    base: &Base,
    kinds: &[Kind],
) -> Result<CollectionAnswer, ApiError> {
    let id = kinds[0].collection.clone();
    let mut parameter_names = BTreeMap::new();
    for parameter in kinds.iter().flat_map(|kind| &kind.head.parameters) {
        parameter_names.entry(parameter.name.clone()).or_insert_with(|| told(parameter));
    }
    let maps: u64 = kinds.iter().map(|kind| kind.maps).sum();
    let title = kinds[0].title.clone().unwrap_or_else(|| match id.as_str() {
        NO_NETWORK => "Maps of no registered network".to_owned(),
        network => format!("Maps of network {network}"),
    });
    let planes: BTreeSet<&str> = kinds.iter().filter_map(|kind| kind.head.crs.as_deref()).collect();
    let mut description = format!("Maps that are kept: {maps}.");
    for plane in planes {
        description += &format!(" Of these some in the plane {plane}.");
    }
    let path = format!("/collections/{id}");
    let mut links = vec![link(base, &path, "self"), link(base, "/collections", "collection")];
    let named = network_of(state, &id).is_some();
    let queries = QUERIES.iter().filter(|(name, ..)| *name != "locations" || named);
    let queries = queries.map(|&(name, title, forms)| {
        let href = base.at(&format!("{path}/{name}"));
        links.push(Link {
            href: href.clone(),
            rel: "data",
            r#type: Some(Form::CoverageJson.media_type()),
            title: Some(title),
        });
        (name, query(href, name, title, forms))
    });
    let queries = queries.collect();
    Ok(CollectionAnswer {
        title,
        description,
        keywords: parameter_names.keys().cloned().collect(),
        links,
        extent: extent(state, owner, &id, kinds)?,
        data_queries: queries,
        crs: vec!["CRS84"],
        output_formats: FORMS.map(|form| form.to_string()).to_vec(),
        parameter_names,
        id,
    })
}

const QUERIES: [(&str, &str, &[Form]); 4] = [
    ("position", "all times at places", &FORMS_OF_PLACES),
    ("locations", "all times at a station", &FORMS_OF_PLACES),
    ("area", "cells within polygons", &FORMS),
    ("cube", "cells within a rectangle", &FORMS),
];

fn query(
    href: String,
    query_type: &'static str,
    title: &'static str,
    forms: &[Form],
) -> QueryAnswer {
    let variables = VariablesAnswer {
        title,
        query_type,
        output_formats: forms.iter().map(Form::to_string).collect(),
        default_output_format: forms[0].to_string(),
        crs_details: vec![CrsAnswer { crs: "CRS84", wkt: WKT }],
    };
    QueryAnswer {
        link: QueryLinkAnswer { href, rel: "data", r#type: forms[0].media_type(), variables },
    }
}

fn link(base: &Base, path: &str, rel: &'static str) -> Link {
    Link { href: base.at(path), rel, r#type: Some("application/json"), title: None }
}

fn told(parameter: &Parameter) -> ParameterAnswer {
    let Parameter { name, label, units, standard_name, .. } = parameter.clone();
    // Of a layer the name in the table comes first, a modifier behind.
    let standard = standard_name.as_deref().and_then(|name| name.split(' ').next());
    ParameterAnswer {
        r#type: "Parameter",
        id: name,
        label: label.clone(),
        description: label.clone(),
        data_type: "float",
        unit: units.map(|units| UnitAnswer { label: units.clone(), symbol: units }),
        observed_property: PropertyAnswer {
            id: standard.map(|name| format!("http://vocab.nerc.ac.uk/standard_name/{name}/")),
            label: standard.map_or(label, str::to_owned),
        },
    }
}

fn extent(
    state: &AppState,
    owner: Option<&str>,
    id: &str,
    kinds: &[Kind],
) -> Result<ExtentAnswer, ApiError> {
    let boxes: Vec<[f64; 4]> = kinds.iter().map(|kind| kind.head.bbox).collect();
    let spatial = SpatialAnswer { bbox: vec![together(&boxes)], crs: CRS84 };
    let Some(whole) = span(kinds) else { return Ok(ExtentAnswer { spatial, temporal: None }) };
    let mut each: Vec<[i64; 2]> =
        state.store().read(|c| heads::times(c, owner, id, MOST_TIMES + 1))?;
    if each.len() > MOST_TIMES {
        each = vec![whole];
    }
    let value = |[first, last]: &[i64; 2]| match first == last {
        true => moment(*first),
        false => format!("{}/{}", moment(*first), moment(*last)),
    };
    let temporal = TemporalAnswer {
        interval: vec![whole.map(moment)],
        values: each.iter().map(value).collect(),
        trs: TIMES,
    };
    Ok(ExtentAnswer { spatial, temporal: Some(temporal) })
}

/// First and last time of all.
pub(super) fn span(kinds: &[Kind]) -> Option<[i64; 2]> {
    let times = kinds.iter().filter_map(|kind| kind.times);
    times.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])])
}

/// What all boxes are in, with longitudes from -180 to 180: west is above east across the date line.
fn together(boxes: &[[f64; 4]]) -> [f64; 4] {
    let least = |k: usize| boxes.iter().map(|b| b[k]).fold(f64::INFINITY, f64::min);
    let most = |k: usize| boxes.iter().map(|b| b[k]).fold(f64::NEG_INFINITY, f64::max);
    let (west, east) = (least(0), most(2));
    let (south, north) = (least(1).max(-90.0), most(3).min(90.0));
    if west >= -180.0 && east <= 180.0 {
        return [west, south, east, north];
    }
    if boxes.windows(2).any(|pair| pair[0] != pair[1]) || east - west >= 360.0 {
        return [-180.0, south, 180.0, north];
    }
    let turned = |lon: f64| (lon + 180.0).rem_euclid(360.0) - 180.0;
    [turned(west), south, turned(east), north]
}

/// Whether maps of some times may have one of a stretch; maps without time have those of all.
fn overlap(times: Option<[i64; 2]>, [from, to]: Stretch) -> bool {
    match times {
        None => from.is_none() && to.is_none(),
        Some([first, last]) => {
            from.is_none_or(|from| last >= from) && to.is_none_or(|to| first <= to)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_told_with_longitudes_of_the_standard() {
        assert_eq!(together(&[[0.0, 1.0, 5.0, 2.0], [-9.0, 0.0, 3.0, 1.5]]), [-9.0, 0.0, 5.0, 2.0]);
        assert_eq!(together(&[[170.0, -9.0, 190.0, 9.0]; 2]), [170.0, -9.0, -170.0, 9.0]);
        assert_eq!(together(&[[200.0, -9.0, 210.0, 9.0]]), [-160.0, -9.0, -150.0, 9.0]);
        let far = [[170.0, -9.0, 190.0, 9.0], [0.0, 0.0, 1.0, 1.0]];
        assert_eq!(together(&far), [-180.0, -9.0, 180.0, 9.0]);
        assert_eq!(together(&[[-0.5, -90.5, 359.5, 90.5]]), [-180.0, -90.0, 180.0, 90.0]);
    }
}
