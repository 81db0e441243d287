//! From readings at stations to a finished map.
//!
//! ```text
//! readings → Observations → Network → Factor → Weights → tiles → Sink (a file, a response)
//!              observations   network    (kernels)         run      output
//! ```
//!
//! Each stage is a type that can only be built from the stage before, so what comes from outside is
//! checked once, where it comes in. Everything that makes a map (command line, HTTP) calls
//! [`run`](run::run).

pub mod background;
mod bilinear;
mod block;
pub mod blocks;
pub mod bounds;
pub mod certificate;
mod cf_time;
mod choice;
pub mod correlation;
mod correlation_bins;
mod correlation_csv;
mod correlation_picture;
pub mod covariates;
pub mod crossvalidation;
pub mod error;
pub mod export;
pub mod factors;
mod field;
pub mod grid;
pub mod gridded;
pub mod land;
pub mod machine;
pub mod mask;
pub mod model;
pub mod network;
pub mod observations;
pub mod output;
mod pace;
mod pilot;
pub mod plan;
pub mod polygons;
mod pools;
pub mod progress;
pub mod projection;
pub mod quality;
mod recorder;
mod regrid;
pub mod report;
pub mod run;
mod scattered;
pub mod series;
pub mod settings;
pub mod storage;
mod survey;
pub mod tiles;
pub mod transform;
pub mod uncertainty;
mod units;
pub mod wkt;

pub use background::{Background, BackgroundReport};
pub use bounds::{Bound, Bounds};
pub use certificate::Certificate;
pub use choice::By;
pub use correlation::{CorrelationRules, correlate};
pub use correlation_bins::{Bins, ByDistance};
pub use correlation_csv::PairsCsv;
pub use correlation_picture::correlation_svg;
pub use crossvalidation::{CrossValidation, Folds, crossvalidate, crossvalidate_plan};
pub use error::{Error, Kind};
pub use factors::{FactorCache, FactorStore};
pub use grid::{Grid, Places, Registration, Targets};
pub use isopleth_kernels as kernels;
pub use mask::{Area, MaskReport, Masks};
pub use network::{Duplicates, Network};
pub use observations::{Observations, ReadOptions, Source};
pub use plan::{Estimate, Plan};
pub use progress::{Cancel, Event, Progress};
pub use projection::Crs;
pub use quality::{Flag, QualityReport, Reject, Rules};
pub use report::Report;
pub use run::run;
pub use series::Treatment;
pub use settings::{Auto, Choice, Directions, Each, Limits, Settings, Tolerance};
pub use storage::{Compression, Digits, Precision, Storage};
pub use survey::{Solvable, Survey, survey};
pub use transform::{Back, Transform, TransformOf, Transforms};
pub use uncertainty::Uncertainty;
