//! `isopleth backup`: a copy of what the service remembers, while it runs.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use isopleth_api::store::backup::{BackupError, back_up};

use super::{print, write_json};
use crate::cli::ServeArguments;
use crate::config;
use crate::failure::{Failure, io};
use crate::table::bytes;

#[derive(Debug, Args)]
#[command(after_help = "\
The copy is a folder of data like the original: the database as it was at one moment, and every file that it refers to,
each compared with its checksum. Jobs under way are in it and begin again where it is used. To restore: stop the service,
put the copy in the place of data_dir, start it (docs/deploy.md).

Examples:
  isopleth backup /backup/isopleth-$(date +%F)
  isopleth backup --data-dir /var/lib/isopleth /backup/now")]
pub(crate) struct BackupArguments {
    /// Folder of the copy; new or empty
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    folder: PathBuf,
    /// The service's settings, which say where its data are
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Folder of the service's data [default: that of the settings]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
    /// Print JSON instead of a sentence
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &BackupArguments) -> Result<(), Failure> {
    let data = match &arguments.data_dir {
        Some(folder) => Some(folder.clone()),
        None => config::load(&ServeArguments::of(arguments.config.clone()))?.data_dir,
    };
    let data = data.ok_or_else(|| {
        Failure::Usage("there is no folder of the service's data; name it: --data-dir DIR".into())
    })?;
    let copied = back_up(&data, &arguments.folder).map_err(|error| match error {
        BackupError::Nothing(_) | BackupError::Taken(_) => Failure::Usage(error.to_string()),
        other => io(other),
    })?;
    for file in &copied.lost {
        eprintln!("lost: {file}; the database refers to it, and it was not there before the copy");
    }
    if arguments.json {
        return write_json("-".as_ref(), &copied);
    }
    print(&format!(
        "{} is copied to {}: database of schema {}, {} files, {}\n",
        data.display(),
        arguments.folder.display(),
        copied.schema,
        copied.files,
        bytes(copied.bytes)
    ))
}
