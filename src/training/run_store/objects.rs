//! Objects of one prefix of a bucket, by crate `object_store`: names to bytes, and nothing of runs.
//!
//! In: a URL and what the environment says of credentials, endpoint and region (`AWS_*`, `GOOGLE_*`, `AZURE_*`, as the
//! providers' own tools read them). Out: bytes, sizes, or an error that says whether a retry may help. Requests are retried
//! for half a minute; files above 16 MiB go in parts. Blocking: a small runtime of its own waits, so that nobody else has to
//! know of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Name;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig, WriteMultipart};

use super::AT_ONCE;
use super::address::Address;
use super::reason::{explained, of_io};
use crate::training::error::{Error, Result};
use crate::training::run_dir::AtomicFile;

/// Files up to this size are one request.
pub(super) const PART_BYTES: u64 = 16 << 20;
/// How often it is asked whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// S3 takes 10,000 parts.
const MOST_PARTS: u64 = 9_000;

#[derive(Debug)]
pub struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Name,
    url: String,
    runtime: tokio::runtime::Runtime,
}

impl Objects {
    /// The objects of a run.
    pub fn open(url: &str) -> Result<Objects> {
        let Address { scheme, bucket, prefix } = Address::of_run(url)?;
        Self::below(scheme, bucket, prefix)
    }

    pub(super) fn below(scheme: &str, bucket: &str, prefix: &str) -> Result<Objects> {
        // The one that TLS is built with; it may be installed already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let retry = RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let store: object_store::Result<Arc<dyn ObjectStore>> = match scheme {
            "s3" => AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build().map(shared),
            "gs" => {
                GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).with_retry(retry).build().map(shared)
            }
            _ => MicrosoftAzureBuilder::from_env().with_container_name(bucket).with_retry(retry).build().map(shared),
        };
        let url = format!("{scheme}://{bucket}/{prefix}");
        let store = store.map_err(|error| explained(&url, "opened", &error))?;
        Self::within(store, prefix, url)
    }

    pub(super) fn within(store: Arc<dyn ObjectStore>, prefix: &str, url: String) -> Result<Objects> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::failed(format!("no runtime for requests: {error}")))?;
        let prefix = Name::parse(prefix).map_err(|error| Error::permanent(format!("`{url}`: {error}")))?;
        Ok(Objects { store, prefix, url, runtime })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits for what is asked.
    pub fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }

    /// The same, but given up soon after `stop` says so, however long the store is silent.
    pub(super) fn wait_unless<T>(&self, stop: &dyn Fn() -> bool, asked: impl Future<Output = Result<T>>) -> Result<T> {
        self.wait(async {
            let mut asked = std::pin::pin!(asked);
            loop {
                match tokio::time::timeout(LOOK_EVERY, asked.as_mut()).await {
                    Ok(done) => return done,
                    Err(_) if stop() => return Err(Error::interrupted()),
                    Err(_) => {}
                }
            }
        })
    }

    fn name(&self, name: &str) -> Name {
        name.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn failed<'s>(&'s self, name: &'s str, doing: &'s str) -> impl Fn(object_store::Error) -> Error + 's {
        move |error| explained(&format!("{}/{name}", self.url), doing, &error)
    }

    /// The bytes of an object, none if there is no such.
    pub fn get(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.wait(self.get_async(name, limit))
    }

    pub async fn get_async(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let failed = self.failed(name, "read");
        let found = match self.store.get(&self.name(name)).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if found.meta.size > limit {
            let message = format!("`{}/{name}`: expected at most {limit} bytes, found {}", self.url, found.meta.size);
            return Err(Error::permanent(message).hint("it is not what fraudml wrote there"));
        }
        Ok(Some(found.bytes().await.map_err(failed)?.to_vec()))
    }

    /// Writes an object only where there is none; whether it did.
    pub fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        match self.wait(self.store.put_opts(&self.name(name), bytes.into(), options)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, "written")(error)),
        }
    }

    /// Writes objects, whatever is there.
    pub fn put_all(&self, objects: Vec<(String, Vec<u8>)>) -> Result<()> {
        let put = |(name, bytes): (String, Vec<u8>)| async move {
            let put = self.store.put(&self.name(&name), bytes.into()).await;
            put.map(drop).map_err(self.failed(&name, "written"))
        };
        self.wait(stream::iter(objects.into_iter().map(put)).buffer_unordered(AT_ONCE).try_collect())
    }

    /// Names and sizes of what lies under a name.
    pub fn list(&self, under: &str) -> Result<BTreeMap<String, u64>> {
        let (from, prefix) = (self.name(under), format!("{}/", self.prefix));
        let found = self.store.list(Some(&from)).map_ok(|object| {
            let name = object.location.to_string();
            (name.strip_prefix(&prefix).unwrap_or(&name).to_owned(), object.size)
        });
        self.wait(found.try_collect()).map_err(self.failed(under, "listed"))
    }

    /// Brings an object to a file, which appears whole.
    pub fn download(&self, name: &str, to: &Path) -> Result<()> {
        let mut file = AtomicFile::create(to)?;
        let written = self.wait(async {
            let failed = self.failed(name, "read");
            let mut bytes = self.store.get(&self.name(name)).await.map_err(&failed)?.into_stream();
            while let Some(part) = bytes.try_next().await.map_err(&failed)? {
                file.writer().write_all(&part).map_err(|error| of_io(to, "written", &error))?;
            }
            Ok(())
        });
        written.and_then(|()| file.publish())
    }

    /// Brings a file to an object.
    pub fn upload(&self, name: &str, from: &Path) -> Result<()> {
        self.wait(self.upload_async(name, from))
    }

    pub async fn upload_async(&self, name: &str, from: &Path) -> Result<()> {
        let unreadable = |error: std::io::Error| of_io(from, "read", &error);
        let failed = self.failed(name, "written");
        let mut file = std::fs::File::open(from).map_err(unreadable)?;
        let n_bytes = file.metadata().map_err(unreadable)?.len();
        if n_bytes <= PART_BYTES {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            return self.store.put(&self.name(name), bytes.into()).await.map(drop).map_err(failed);
        }
        let part = PART_BYTES.max(n_bytes / MOST_PARTS) as usize;
        let upload = self.store.put_multipart(&self.name(name)).await.map_err(&failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part);
        let mut bytes = vec![0; part];
        loop {
            upload.wait_for_capacity(2).await.map_err(&failed)?;
            match file.read(&mut bytes).map_err(unreadable)? {
                0 => break upload.finish().await.map(drop).map_err(failed),
                n => upload.write(&bytes[..n]),
            }
        }
    }
}

fn shared<S: ObjectStore>(store: S) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}

/// An object that is not there, in a bucket that is.
fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && !super::reason::names_no_bucket(error)
}
