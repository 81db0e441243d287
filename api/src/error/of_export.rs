//! Why a map has no such form or part, in the words of a query. The engine's own sentences give the options of the
//! command line where they give advice.

use isopleth_engine::Kind;
use isopleth_engine::export::ExportError;

use super::{ApiError, Place};

/// What a client is told, and which parameter it is about.
pub(super) fn of_export(error: &ExportError, kind: Kind) -> ApiError {
    let text = said(error);
    let told = match kind {
        Kind::Limit => ApiError::too_large(text),
        _ => ApiError::meaningless(text),
    };
    match parameter(error) {
        Some(name) => told.at(Place { parameter: Some(name.to_owned()), ..Place::default() }),
        None => told,
    }
}

fn said(error: &ExportError) -> String {
    use ExportError as E;
    match error {
        E::ManyVariables { form, known } => {
            format!("{form} holds one variable, and the map has {known}; choose one with variable")
        }
        E::NoTime { got, advice } => format!("datetime={got}: the map has no such time; {advice}"),
        E::ManyTimes { form, count, first, last } => format!(
            "{form} holds one time, and {count} are chosen, {first} to {last}; choose one with datetime"
        ),
        E::MoreTimes { form, count, limit } => format!(
            "{form} holds {limit} times at most, and {count} are chosen; choose fewer with datetime"
        ),
        E::Bounds { got: [west, south, east, north] } => format!(
            "bbox={west},{south},{east},{north}: expected west,south,east,north with south below north"
        ),
        E::Stride { got } => format!("step={got}: expected a whole number from 1 on"),
        E::TooLarge { form, cells, limit, stride } => format!(
            "{form} of {cells} cells is more than the limit of {limit}; take part of the map with bbox, or fewer \
             of its cells with step={stride}"
        ),
        E::Colours { got, known } => format!("palette={got}: not known; known are {known}"),
        E::Range { low, high } => {
            format!("range={low},{high}: expected two finite numbers with a comma, the lower first")
        }
        E::Size { got, least, most } => {
            format!("size={got}: pictures of {least} to {most} pixels are drawn")
        }
        other => other.to_string(),
    }
}

fn parameter(error: &ExportError) -> Option<&'static str> {
    use ExportError as E;
    Some(match error {
        E::NoVariable { .. } | E::ManyVariables { .. } => "variable",
        E::NoTime { .. } | E::Time(_) | E::ManyTimes { .. } | E::MoreTimes { .. } => "datetime",
        E::Bounds { .. } | E::Outside { .. } | E::AcrossEnds { .. } | E::TooLarge { .. } => "bbox",
        E::Stride { .. } => "step",
        E::Colours { .. } => "palette",
        E::Range { .. } => "range",
        E::Size { .. } => "size",
        E::Levels { .. } | E::ManyLevels { .. } | E::FewLevels { .. } => "levels",
        E::Uneven { .. } | E::Crs { .. } | E::NoDegrees { .. } | E::NotOfPlaces { .. } => "f",
        _ => return None,
    })
}
