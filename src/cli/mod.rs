//! The command line: every option with its default and a sentence for people.

mod groups;
mod words;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use isopleth_engine::Folds;

pub(crate) use self::groups::*;
use self::words::{parse_bytes, parse_folds};
use crate::export::ExportArguments;

const AFTER_HELP: &str = "\
Exit codes: 0 done; 2 wrong command line; 3 bad readings, grid or method; 4 would exceed a limit;
5 a file, the network or the machine failed; 130 interrupted.

Examples:
  isopleth map readings.csv --bounds 73,18,135,54 --shape 1400x1000 -o map.nc
  isopleth map hours.csv.gz --stations places.csv --bounds -125,24,-66,50 --resolution 0.05 -o us.nc
  isopleth export map.nc -o map.png --coast
  isopleth points readings.csv --at places.csv -o values.csv
  isopleth check readings.csv
  isopleth serve --listen 127.0.0.1:8080";

/// Maps from observations at scattered stations: fast, in bounded memory, honest about their error.
#[derive(Debug, Parser)]
#[command(name = "isopleth", version, about, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Map readings onto a grid and write a NetCDF file
    Map(MapArguments),
    /// Write a finished map, or part of it, as GeoTIFF, PNG, contours, CSV, …
    Export(ExportArguments),
    /// Values at places of your own, as CSV
    Points(PointsArguments),
    /// Tell what a file of readings holds and what is wrong with it
    Check(CheckArguments),
    /// Tell cells, seconds, memory and file size of a map without making it
    Estimate(EstimateArguments),
    /// Errors at stations left out: by variable, station and kernel, beside simpler methods
    Crossval(CrossvalArguments),
    /// Correlation of the readings of every pair of stations, against their distance
    Correlation(CorrelationArguments),
    /// List or clear what is kept of earlier runs: factorisations, deviations on grids
    Cache(CacheArguments),
    /// Serve maps over HTTP
    Serve(ServeArguments),
    /// Maps of every hour, unattended: list, check, backfill, pause
    Schedule(crate::commands::schedule::ScheduleArguments),
    /// Check the service's settings, or print them with where they come from
    Config(crate::commands::config::ConfigArguments),
    /// Make, list and revoke the keys of the service
    Keys(crate::commands::keys::KeysArguments),
    /// Look whether the service has what it needs on this machine
    Doctor(crate::commands::doctor::DoctorArguments),
    /// Copy what the service remembers, while it runs
    Backup(crate::commands::backup::BackupArguments),
    /// Tell how a running service is doing
    Status(crate::commands::status::StatusArguments),
    /// Tell what the service made, for whom, and what it took
    Usage(crate::commands::usage::UsageArguments),
    /// Ask a running service whether it is alive (for containers)
    Healthcheck(HealthcheckArguments),
    /// Print a completion script for your shell
    Completions(CompletionsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct MapArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    #[command(flatten)]
    pub(crate) grid: GridArguments,
    #[command(flatten)]
    pub(crate) mask: MaskArguments,
    #[command(flatten)]
    pub(crate) background: BackgroundArguments,
    /// The file to write: NetCDF, or CSV with --points-file
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Work in blocks kept in this folder, so that the same command goes on after a crash or an
    /// interrupt and gives the same file; removed when the map is done
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) work: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    #[command(flatten)]
    pub(crate) uncertainty: UncertaintyArguments,
    #[command(flatten)]
    pub(crate) method: MethodArguments,
    #[command(flatten)]
    pub(crate) quality: QualityArguments,
    #[command(flatten)]
    pub(crate) cache: CacheOptions,
    #[command(flatten)]
    pub(crate) tell: TellArguments,
}

#[derive(Debug, Args)]
pub(crate) struct PointsArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    /// A CSV file of places (lon, lat, …); its columns are kept
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) at: PathBuf,
    #[command(flatten)]
    pub(crate) mask: MaskArguments,
    #[command(flatten)]
    pub(crate) background: BackgroundArguments,
    /// The CSV file to write
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) uncertainty: UncertaintyArguments,
    #[command(flatten)]
    pub(crate) method: MethodArguments,
    #[command(flatten)]
    pub(crate) quality: QualityArguments,
    #[command(flatten)]
    pub(crate) cache: CacheOptions,
    #[command(flatten)]
    pub(crate) tell: TellArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    /// Coordinates are planar, not degrees
    #[arg(long)]
    pub(crate) planar: bool,
    #[command(flatten)]
    pub(crate) quality: QualityArguments,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EstimateArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    #[command(flatten)]
    pub(crate) grid: GridArguments,
    #[command(flatten)]
    pub(crate) mask: MaskArguments,
    #[command(flatten)]
    pub(crate) storage: StorageArguments,
    #[command(flatten)]
    pub(crate) method: MethodArguments,
    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CrossvalArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    /// Leave stations out together, too: in 10 parts (`10`), in blocks (`block:200`, km), by town
    /// (`town:30`: all that steps of 30 km reach), or one by one (`loo`), and compare with inverse
    /// distance weights, the nearest station and the mean; may be given several times
    #[arg(long, value_name = "HOW", value_parser = parse_folds)]
    pub(crate) folds: Vec<Folds>,
    /// Compare kernels: each with the shape and smoothing of its least leave-one-out error
    #[arg(long)]
    pub(crate) compare: bool,
    #[command(flatten)]
    pub(crate) background: BackgroundArguments,
    /// A column of the readings that holds the background at the stations, in place of a grid:
    /// NAME, or pm25=NAME with several variables
    #[arg(long, value_name = "[NAME=]COLUMN", help_heading = "Background")]
    pub(crate) background_column: Vec<String>,
    /// Write a CSV file with the errors of every station
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) method: MethodArguments,
    #[command(flatten)]
    pub(crate) quality: QualityArguments,
    #[command(flatten)]
    pub(crate) cache: CacheOptions,
    #[command(flatten)]
    pub(crate) tell: TellArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CorrelationArguments {
    #[command(flatten)]
    pub(crate) readings: ReadingArguments,
    /// The CSV file to write, a row for each pair; `-` is standard output
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Draw correlation against distance, too: an SVG file
    #[arg(long, value_name = "FILE.svg", value_hint = ValueHint::FilePath)]
    pub(crate) picture: Option<PathBuf>,
    /// Leave out pairs further apart than this, in km or the planar unit
    #[arg(long, value_name = "DISTANCE")]
    pub(crate) within: Option<f64>,
    /// Leave out pairs with fewer readings at the same times
    #[arg(long, value_name = "READINGS", default_value_t = 30)]
    pub(crate) least_pairs: u64,
    /// Coordinates are planar, not degrees
    #[arg(long)]
    pub(crate) planar: bool,
    /// Worker threads [default: the processors this process may use]
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Memory for sums and readings; with less the readings are read more often
    #[arg(long, value_name = "BYTES", default_value = "256MB", value_parser = parse_bytes)]
    pub(crate) memory: u64,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheArguments {
    /// What to do
    #[arg(value_enum)]
    pub(crate) action: CacheAction,
    #[command(flatten)]
    pub(crate) options: CacheOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CacheAction {
    /// One line for each factorisation, and for each grid of deviations
    List,
    /// How much there is, and where
    Size,
    /// Remove all
    Clear,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Settings in TOML; every one can also be given as ISOPLETH_SERVE_…
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Address and port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,
    /// Print every setting with its default and stop
    #[arg(long)]
    pub(crate) print_config: bool,
}

impl ServeArguments {
    /// Settings of a file, or of none, as the service would have them.
    pub(crate) fn of(config: Option<PathBuf>) -> Self {
        Self { config, listen: None, print_config: false }
    }
}

#[derive(Debug, Args)]
pub(crate) struct HealthcheckArguments {
    /// Address and port of the service
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "ISOPLETH_SERVE_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: String,
    /// Speak HTTPS, with whatever certificate the service shows; also where ISOPLETH_SERVE_TLS_CERTIFICATE is set
    #[arg(long)]
    pub(crate) tls: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
