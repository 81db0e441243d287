//! Settings of sinks: the tables `[sinks.NAME]` of the configuration.

use std::path::PathBuf;

use isopleth_engine::export::{Form, Options, Palette, Selection};
use serde::{Deserialize, Serialize};

use super::error::{Reason, SinkError};
use super::names::Template;

/// Where finished maps of schedules go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SinkConfig {
    /// Files below a folder of this machine.
    Directory(Directory),
    /// Objects in a bucket of an S3-compatible store.
    ObjectStore(ObjectStore),
    /// One Zarr store that grows by an hour at a time.
    Zarr(Zarr),
}

/// `kind = "directory"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// The folder. It must be there: a disk that is not mounted is not written beside.
    pub path: PathBuf,
    /// Whether a NetCDF file is a further name of the kept map's file where the file system allows, which takes no
    /// room, but whoever changes one changes the other. Default no: a copy, which shares its blocks where the file
    /// system can (XFS, Btrfs).
    #[serde(default)]
    pub hard_link: bool,
    /// How files are made and called.
    #[serde(default)]
    pub files: Files,
    /// What goes again. Default: nothing.
    #[serde(default)]
    pub keep: Keep,
}

/// `kind = "object_store"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectStore {
    /// The bucket and who may write to it.
    pub bucket: Bucket,
    /// How objects are made and called.
    #[serde(default)]
    pub files: Files,
    /// What goes again. Default: nothing.
    #[serde(default)]
    pub keep: Keep,
}

/// `kind = "zarr"`: in a folder, or in a bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zarr {
    /// The folder in which stores are, which must be there. This, or `bucket`.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// The bucket in which stores are.
    #[serde(default)]
    pub bucket: Option<Bucket>,
    /// How a store is called. Default `{schedule}.zarr`; with `{time_utc:%Y}` there is one a year.
    #[serde(default = "Zarr::default_name")]
    pub name: String,
    /// Seconds from one map of a schedule to the next. Default 3600.
    #[serde(default = "Zarr::default_step")]
    pub step_seconds: u32,
    /// The first time of a new store (`2026-01-01T00:00:00Z`): earlier maps cannot be put in. Default: the beginning
    /// of the year (UTC) of the first map delivered.
    #[serde(default)]
    pub start: Option<String>,
    /// Maps and layers by name. Default: all maps, without their layers.
    #[serde(default)]
    pub variables: Vec<String>,
    /// Most rows and columns of a chunk of a new store. Default 2048 and 2048: most maps are one chunk an hour.
    #[serde(default = "Zarr::default_chunk")]
    pub chunk: [u32; 2],
    /// Level of Zstandard, 1 to 19. Default 1.
    #[serde(default = "Zarr::default_level")]
    pub level: i32,
    /// Which hours go again. Default: none.
    #[serde(default)]
    pub keep: Keep,
}

impl Zarr {
    fn default_name() -> String {
        "{schedule}.zarr".to_owned()
    }

    fn default_step() -> u32 {
        3600
    }

    fn default_chunk() -> [u32; 2] {
        [2048, 2048]
    }

    fn default_level() -> i32 {
        1
    }
}

/// What is kept of each schedule; the newest hour always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Days after its hour. Default: for ever.
    pub days: Option<u32>,
    /// Hours, the newest. Default: all.
    pub count: Option<u32>,
}

/// A bucket of an S3-compatible store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all names of objects begin with. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// Default `us-east-1`, which stores other than Amazon's mostly take.
    #[serde(default = "Bucket::default_region")]
    pub region: String,
    /// `https://s3.example.org`, or `http://` where that will do. Default: Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the host's name and not of the path. Default no.
    #[serde(default)]
    pub virtual_hosted: bool,
    /// Certificates (PEM) of the authority that vouches for the endpoint. Default: the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Environment variable that holds the id of the key. Default `AWS_ACCESS_KEY_ID`.
    #[serde(default = "Bucket::default_key_env")]
    pub key_env: String,
    /// Environment variable that holds the secret. Default `AWS_SECRET_ACCESS_KEY`.
    #[serde(default = "Bucket::default_secret_env")]
    pub secret_env: String,
    /// Environment variable that may hold a session's token. Default `AWS_SESSION_TOKEN`.
    #[serde(default = "Bucket::default_token_env")]
    pub token_env: String,
    /// File with lines `aws_access_key_id = …`, `aws_secret_access_key = …` and perhaps `aws_session_token = …`, read
    /// anew for every map, so that keys can change. Instead of the environment.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// Sum sent with every object, which the store checks: `sha256`, `crc64nvme` or `none`. Default `sha256`.
    #[serde(default)]
    pub checksum: Sum,
    /// Bytes of the parts in which larger files are sent, 5 MiB to 1 GiB. Default 8 MiB.
    #[serde(default = "Bucket::default_part")]
    pub part_bytes: u64,
    /// Longest time in seconds for one request. Default 60.
    #[serde(default = "Bucket::default_request")]
    pub request_seconds: u64,
    /// Longest time in seconds in which a request is tried again. Default 60.
    #[serde(default = "Bucket::default_retry")]
    pub retry_seconds: u64,
}

/// A sum of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sum {
    /// SHA-256.
    #[default]
    Sha256,
    /// CRC-64 of NVMe.
    Crc64Nvme,
    /// None but what signs the request.
    None,
}

impl Bucket {
    fn default_region() -> String {
        "us-east-1".to_owned()
    }

    fn default_key_env() -> String {
        "AWS_ACCESS_KEY_ID".to_owned()
    }

    fn default_secret_env() -> String {
        "AWS_SECRET_ACCESS_KEY".to_owned()
    }

    fn default_token_env() -> String {
        "AWS_SESSION_TOKEN".to_owned()
    }

    fn default_part() -> u64 {
        8 << 20
    }

    fn default_request() -> u64 {
        60
    }

    fn default_retry() -> u64 {
        60
    }
}

/// How files are made of a map, and called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// `netcdf`, `geotiff`, `png`, `geojson`, `covjson` or `csv`. Default `netcdf`: the file as it is kept.
    pub form: Option<String>,
    /// Name below the folder, or of the object. Default `{schedule}/{time_utc:%Y/%m/%d/%Y%m%dT%H%MZ}.{ext}`, with
    /// `_{variable}` before the ending for forms that hold one variable.
    pub name: Option<String>,
    /// Name of what is always the newest hour: a link, or a copied object; `""` for none. Default
    /// `{schedule}/latest.{ext}`, with `_{variable}` likewise.
    pub latest: Option<String>,
    /// Maps and layers by name. Default: all maps (of NetCDF, with their layers).
    pub variables: Vec<String>,
    /// West, south, east, north of the part. Default: all.
    pub bounds: Option<[f64; 4]>,
    /// Every so manieth row and column. Default 1.
    pub step: Option<usize>,
    /// Colours of a picture.
    pub palette: Option<String>,
    /// Values of its first and last colour. Default: by the map's own.
    pub range: Option<[f64; 2]>,
    /// A picture without frame, a pixel a cell. Default no.
    pub bare: bool,
    /// Coasts on a picture. Default no.
    pub coast: bool,
    /// Pixels along the longer side of a picture. Default 1000.
    pub size: Option<usize>,
    /// Levels of contours. Default: round numbers.
    pub levels: Option<Vec<f64>>,
    /// Areas between levels, not lines. Default no.
    pub bands: bool,
}

impl Files {
    pub(super) fn form(&self) -> Result<Form, Reason> {
        let form = self.form.as_deref().unwrap_or("netcdf");
        form.parse().map_err(|error: isopleth_engine::export::ExportError| Reason::Setting {
            setting: "files.form",
            got: form.to_owned(),
            needed: error.to_string(),
        })
    }

    pub(super) fn selection(&self) -> Selection {
        Selection {
            variables: self.variables.clone(),
            times: Vec::new(),
            bounds: self.bounds,
            stride: self.step.unwrap_or(1),
        }
    }

    pub(super) fn options(&self) -> Result<Options, Reason> {
        let palette = match &self.palette {
            None => Palette::default(),
            Some(name) => name.parse().map_err(|error: isopleth_engine::export::ExportError| {
                Reason::Setting {
                    setting: "files.palette",
                    got: name.clone(),
                    needed: error.to_string(),
                }
            })?,
        };
        Ok(Options {
            palette,
            range: self.range,
            bare: self.bare,
            coast: self.coast,
            size: self.size.unwrap_or(Options::default().size),
            levels: self.levels.clone(),
            bands: self.bands,
        })
    }

    /// Whether each variable has a file of its own.
    pub(super) fn apart(&self) -> Result<bool, Reason> {
        let one = matches!(self.form()?, Form::GeoTiff | Form::Png | Form::GeoJson);
        Ok(one || self.name.as_ref().is_some_and(|name| name.contains("{variable}")))
    }

    /// Templates of the name and of what is always the newest.
    pub(super) fn templates(&self) -> Result<(Template, Option<Template>), Reason> {
        let tail = if self.apart()? { "_{variable}.{ext}" } else { ".{ext}" };
        let name = match &self.name {
            Some(name) => name.clone(),
            None => format!("{{schedule}}/{{time_utc:%Y/%m/%d/%Y%m%dT%H%MZ}}{tail}"),
        };
        let latest = match &self.latest {
            Some(latest) => latest.clone(),
            None => format!("{{schedule}}/latest{tail}"),
        };
        let read = |setting, text: &str| Template::read(setting, text);
        let latest = if latest.is_empty() { None } else { Some(read("files.latest", &latest)?) };
        Ok((read("files.name", &name)?, latest))
    }

    fn check(&self) -> Result<(), Reason> {
        let wrong = |setting, got: String, needed: &str| {
            Err(Reason::Setting { setting, got, needed: needed.to_owned() })
        };
        let form = self.form()?;
        self.options()?;
        let (name, latest) = self.templates()?;
        if self.step == Some(0) {
            return wrong("files.step", "0".into(), "a whole number from 1 on");
        }
        if let Some(got) =
            self.bounds.filter(|[_, south, _, north]| south > north || !(north - south).is_finite())
        {
            return wrong("files.bounds", format!("{got:?}"), "west, south, east, north");
        }
        if let Some(got) = self.range.filter(|[low, high]| low >= high || !(high - low).is_finite())
        {
            return wrong("files.range", format!("{got:?}"), "two numbers, the lower first");
        }
        for (setting, template) in [("files.name", Some(&name)), ("files.latest", latest.as_ref())]
        {
            let Some(template) = template else { continue };
            if self.apart()? && self.variables.len() != 1 && !template.has_variable() {
                let needed = format!("{form} is one file a variable; put {{variable}} in it");
                return wrong(setting, template.text(), &needed);
            }
        }
        if !name.has_time() {
            let needed = "it must tell hours apart, as {time_utc:%Y%m%dT%H%MZ} does";
            return wrong("files.name", name.text(), needed);
        }
        Ok(())
    }
}

impl SinkConfig {
    /// Checks settings and, for a bucket, that the keys are there.
    ///
    /// # Errors
    /// The first setting that makes no sense.
    pub fn check(&self, name: &str) -> Result<(), SinkError> {
        let checked = match self {
            Self::Directory(of) => folder("path", &of.path)
                .and_then(|()| of.files.check())
                .and_then(|()| of.keep.check()),
            Self::ObjectStore(of) => {
                of.bucket.check().and_then(|()| of.files.check()).and_then(|()| of.keep.check())
            }
            Self::Zarr(of) => of.check(),
        };
        checked.map_err(|reason| reason.of(name))
    }

    /// What goes again.
    pub(super) fn keep(&self) -> Keep {
        match self {
            Self::Directory(of) => of.keep,
            Self::ObjectStore(of) => of.keep,
            Self::Zarr(of) => of.keep,
        }
    }
}

fn folder(setting: &'static str, path: &std::path::Path) -> Result<(), Reason> {
    if path.is_absolute() {
        return Ok(());
    }
    let needed = "a folder from the root on (/srv/maps)".to_owned();
    Err(Reason::Setting { setting, got: path.display().to_string(), needed })
}

impl Keep {
    fn check(self) -> Result<(), Reason> {
        for (setting, got) in [("keep.days", self.days), ("keep.count", self.count)] {
            if got == Some(0) {
                let needed = "at least 1; left out, everything is kept".to_owned();
                return Err(Reason::Setting { setting, got: "0".into(), needed });
            }
        }
        Ok(())
    }
}

impl Zarr {
    /// The first time of a new store, if the settings say.
    pub(super) fn first(&self) -> Result<Option<jiff::Timestamp>, Reason> {
        let Some(text) = &self.start else { return Ok(None) };
        let (setting, got) = ("start", text.clone());
        text.parse().map(Some).map_err(|_| {
            let needed = "a time such as 2026-01-01T00:00:00Z".to_owned();
            Reason::Setting { setting, got, needed }
        })
    }

    fn check(&self) -> Result<(), Reason> {
        let wrong = |setting, got: String, needed: &str| {
            Err(Reason::Setting { setting, got, needed: needed.to_owned() })
        };
        match (&self.path, &self.bucket) {
            (Some(path), None) => folder("path", path)?,
            (None, Some(bucket)) => bucket.check()?,
            _ => return wrong("path", format!("{:?}", self.path), "either path or bucket"),
        }
        Template::read("name", &self.name)?;
        self.first()?;
        if self.step_seconds == 0 {
            return wrong("step_seconds", "0".into(), "at least 1");
        }
        if self.chunk.contains(&0) || u64::from(self.chunk[0]) * u64::from(self.chunk[1]) > 1 << 26
        {
            return wrong(
                "chunk",
                format!("{:?}", self.chunk),
                "rows and columns, 67 million cells at most",
            );
        }
        if !(1..=19).contains(&self.level) {
            return wrong("level", self.level.to_string(), "1 to 19");
        }
        self.keep.check()
    }
}

impl Bucket {
    fn check(&self) -> Result<(), Reason> {
        let wrong = |setting, got: &str, needed: &str| {
            Err(Reason::Setting { setting, got: got.to_owned(), needed: needed.to_owned() })
        };
        if self.name.is_empty() || self.name.contains('/') {
            return wrong("bucket.name", &self.name, "the name of a bucket");
        }
        if let Some(url) = &self.endpoint {
            let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            if !rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['@', '?', ' '])) {
                let shown = url.rsplit('@').next().unwrap_or_default();
                return wrong(
                    "bucket.endpoint",
                    shown,
                    "http:// or https://, a host, perhaps a port and a path",
                );
            }
        }
        if !(5 << 20..=1 << 30).contains(&self.part_bytes) {
            let got = self.part_bytes.to_string();
            return wrong("bucket.part_bytes", &got, "5 MiB (5242880) to 1 GiB (1073741824)");
        }
        if self.request_seconds == 0 {
            return wrong("bucket.request_seconds", "0", "at least 1");
        }
        super::object::credentials(self).map(drop)
    }
}
