//! Objects of an S3-compatible store: signed, with a sum that the store checks, in parts where they are large,
//! and there as a whole or not at all.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use isopleth_engine::Cancel;
use isopleth_engine::export::Form;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, Error, ObjectStore as _, ObjectStoreExt as _, PutMultipartOptions,
    PutOptions, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use super::error::Reason;
use super::forms::Target;
use super::settings::{Bucket, Sum};
use super::transport::Transport;
use crate::config::Secret;

/// Parts on their way at the same time.
const AT_ONCE: usize = 4;

/// How often the word to stop is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The bucket of a sink.
#[derive(Debug)]
pub(super) struct Objects {
    store: AmazonS3,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    name: String,
    prefix: String,
    part_bytes: u64,
}

impl Objects {
    /// Without asking the store anything.
    pub(super) fn open(bucket: &Bucket) -> Result<Self, Reason> {
        let keys = credentials(bucket)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_access_key_id(keys.id.reveal())
            .with_secret_access_key(keys.secret.reveal())
            .with_allow_http(bucket.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")))
            .with_virtual_hosted_style_request(bucket.virtual_hosted)
            .with_retry(RetryConfig {
                retry_timeout: Duration::from_secs(bucket.retry_seconds),
                ..RetryConfig::default()
            })
            .with_http_connector(Transport::new(bucket)?);
        if let Some(token) = &keys.token {
            builder = builder.with_token(token.reveal());
        }
        if let Some(url) = &bucket.endpoint {
            builder = builder.with_endpoint(match (bucket.virtual_hosted, url.split_once("://")) {
                (true, Some((scheme, host))) => format!("{scheme}://{}.{host}", bucket.name),
                _ => url.clone(),
            });
        }
        builder = match bucket.checksum {
            Sum::Sha256 => builder.with_checksum_algorithm(Checksum::SHA256),
            Sum::Crc64Nvme => builder.with_checksum_algorithm(Checksum::CRC64NVME),
            Sum::None => builder,
        };
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(Reason::io("the runtime of an object store"))?;
        Ok(Self {
            store: builder.build().map_err(|error| failed(&error))?,
            runtime: Some(runtime),
            name: bucket.name.clone(),
            prefix: bucket.prefix.trim_matches('/').to_owned(),
            part_bytes: bucket.part_bytes,
        })
    }

    pub(super) fn key(&self, place: &str) -> Key {
        let parts = self.prefix.split('/').chain(place.split('/'));
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// What a request comes to, unless the word to stop comes first.
    pub(super) fn wait<T>(
        &self,
        cancel: &Cancel,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Reason> {
        let Some(runtime) = &self.runtime else { return Err(Reason::Cancelled) };
        runtime.block_on(async {
            let stopped = async {
                while !cancel.is_cancelled() {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                done = work => done.map_err(|error| failed(&error)),
                () = stopped => Err(Reason::Cancelled),
            }
        })
    }

    pub(super) fn store(&self) -> &AmazonS3 {
        &self.store
    }

    /// Sends a large file part by part; it is there once the last has come and all are put together.
    fn put_parts(
        &self,
        key: &Key,
        file: &mut File,
        options: PutMultipartOptions,
        cancel: &Cancel,
    ) -> Result<(), Reason> {
        let mut upload = self.wait(cancel, self.store.put_multipart_opts(key, options))?;
        let sent = async {
            let (mut sending, mut more) = (FuturesUnordered::new(), true);
            loop {
                while more && sending.len() < AT_ONCE {
                    let part = read_part(file, self.part_bytes)?;
                    more = part.len() as u64 == self.part_bytes;
                    if !part.is_empty() {
                        sending.push(upload.put_part(part.into()));
                    }
                }
                match sending.next().await {
                    Some(part) => part?,
                    None => return upload.complete().await.map(drop),
                }
            }
        };
        let sent = self.wait(cancel, sent);
        if sent.is_err() {
            // What was sent would take room for ever. Where even this fails a rule of the bucket must help.
            let _ = self.wait(&Cancel::default(), async {
                let patience = Duration::from_secs(5);
                tokio::time::timeout(patience, upload.abort()).await.unwrap_or(Ok(()))
            });
        }
        sent
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        // A request that nobody waits for any more must not be waited for here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn read_part(file: &mut File, bytes: u64) -> object_store::Result<Bytes> {
    let mut part = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let read = file.take(bytes).read_to_end(&mut part);
    read.map_err(|error| Error::Generic { store: "file", source: Box::new(error) })?;
    Ok(part.into())
}

impl Target for Objects {
    fn has(&self, place: &str, bytes: u64) -> Result<bool, Reason> {
        let found = self.wait(&Cancel::default(), async {
            match self.store.head(&self.key(place)).await {
                Err(Error::NotFound { .. }) => Ok(None),
                found => found.map(Some),
            }
        });
        Ok(found?.is_some_and(|found| found.size == bytes))
    }

    fn put(&self, place: &str, file: &Path, form: Form, cancel: &Cancel) -> Result<(), Reason> {
        let key = self.key(place);
        let mut from = File::open(file).map_err(Reason::io(file))?;
        let bytes = from.metadata().map_err(Reason::io(file))?.len();
        let attributes = Attributes::from_iter([(Attribute::ContentType, form.media_type())]);
        if bytes <= self.part_bytes {
            let mut whole = Vec::new();
            from.read_to_end(&mut whole).map_err(Reason::io(file))?;
            let options = PutOptions { attributes, ..PutOptions::default() };
            self.wait(cancel, self.store.put_opts(&key, whole.into(), options))?;
        } else {
            let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
            self.put_parts(&key, &mut from, options, cancel)?;
        }
        if self.has(place, bytes)? {
            return Ok(());
        }
        let message = format!("`{place}` was taken, and is not there with its {bytes} bytes");
        Err(Reason::Objects { message, passing: true })
    }

    fn point(&self, latest: &str, place: &str, _: Form) -> Result<(), Reason> {
        let (from, to) = (self.key(place), self.key(latest));
        self.wait(&Cancel::default(), async {
            let source = self.store.head(&from).await?;
            // The sum of the contents, unless they came in parts: then it is copied again.
            let is_same = self.store.head(&to).await.is_ok_and(|there| {
                there.size == source.size && there.e_tag.is_some() && there.e_tag == source.e_tag
            });
            if is_same { Ok(()) } else { self.store.copy(&from, &to).await }
        })
    }

    fn remove(&self, place: &str) -> Result<(), Reason> {
        self.wait(&Cancel::default(), async {
            match self.store.delete(&self.key(place)).await {
                Err(Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        })
    }

    fn tell(&self, place: &str) -> String {
        format!("s3://{}/{}", self.name, self.key(place))
    }
}

/// What opens a bucket. Shown nowhere.
#[derive(Debug)]
pub(super) struct Keys {
    id: Secret,
    secret: Secret,
    token: Option<Secret>,
}

/// Reads keys from where the settings say.
pub(super) fn credentials(bucket: &Bucket) -> Result<Keys, Reason> {
    let missing = |setting, got: &str, needed: String| {
        Err(Reason::Setting { setting, got: got.to_owned(), needed })
    };
    let Some(path) = &bucket.credentials_file else {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        for (setting, name) in
            [("bucket.key_env", &bucket.key_env), ("bucket.secret_env", &bucket.secret_env)]
        {
            if read(name).is_none() {
                let needed = "set this environment variable, or name a credentials_file".to_owned();
                return missing(setting, name, needed);
            }
        }
        return Ok(Keys {
            id: Secret::new(read(&bucket.key_env).unwrap_or_default()),
            secret: Secret::new(read(&bucket.secret_env).unwrap_or_default()),
            token: read(&bucket.token_env).map(Secret::new),
        });
    };
    let text = std::fs::read_to_string(path).map_err(Reason::io(path))?;
    let find = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.find(|(key, value)| key.trim() == name && !value.trim().is_empty());
        found.map(|(_, value)| Secret::new(value.trim()))
    };
    match (find("aws_access_key_id"), find("aws_secret_access_key")) {
        (Some(id), Some(secret)) => Ok(Keys { id, secret, token: find("aws_session_token") }),
        _ => {
            let needed = "lines `aws_access_key_id = …` and `aws_secret_access_key = …`".to_owned();
            missing("bucket.credentials_file", &path.display().to_string(), needed)
        }
    }
}

/// What a store said, in short: whole answers can hold what a request was signed with.
pub(super) fn failed(error: &Error) -> Reason {
    let passing = !matches!(
        error,
        Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. }
    );
    Reason::Objects { message: in_short(error), passing }
}

fn in_short(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        let below_text = below.to_string();
        if !text.contains(&below_text) {
            text = format!("{text}: {below_text}");
        }
        source = below.source();
    }
    let inside = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(inside, _)| inside.to_owned())
    };
    match (inside("Code"), text.find('<')) {
        (Some(code), _) => format!("{code}: {}", inside("Message").unwrap_or_default()),
        (None, Some(at)) => text[..at].to_owned(),
        (None, None) => text,
    }
}
