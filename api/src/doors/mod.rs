//! The doors: who may come in, and how much each may take.
//!
//! ```text
//! connection → serve.rs: how many, from where, TLS
//! request    → enter: address (a trusted proxy's word) → key → rate → scope → places at once → the route
//! ```
//!
//! Behind the doors every request carries a [`Caller`] in its extensions: take it with
//! `Extension(caller): Extension<Caller>`, or by `Caller::of` from a request.
//! - [`Caller::owner`] is what to write beside what belongs to somebody (a job, a network): `key:ID`, or
//!   `anonymous` where keys are off;
//! - [`Caller::owns`] says whether it may see or remove what belongs to that owner: its own, or all with scope admin;
//! - `Caller::spend` books cells before they are computed, for limits by day;
//! - `audit::record` notes what somebody did with what belongs to others.
//!
//! A request's method and path say which scope it needs (`rules`); routes need not ask.
//! Keys are off where there are none and only this machine can connect; see `auth` in the configuration.

mod addresses;
pub mod audit;
mod clients;
pub(crate) mod described;
pub mod keys;
pub(crate) mod pace;
pub(crate) mod patient;
mod ring;
mod rules;
mod scopes;
pub(crate) mod tls;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowOrigin, CorsLayer};

pub use addresses::Cidr;
pub(crate) use addresses::{Peer, customer};
pub use keys::{KeyId, KeyLimits};
pub use scopes::{Scope, Scopes};

use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::state::AppState;
use crate::store::Store;
use clients::{Client, Clients, Rate, Who};
use keys::{KeyError, NewKey, Token};
use ring::Ring;
use rules::Need;

/// Seconds of a day.
const DAY: i64 = 86_400;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Whether requests need a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// If there are keys at the start; and without any the service listens on loopback only.
    #[default]
    Auto,
    /// Always, even while there is none.
    On,
    /// Never.
    Off,
}

/// Why the doors cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum DoorsError {
    /// The key of the configuration is none, or its file cannot be read.
    #[error("setting {name}: {why}")]
    Bootstrap {
        /// Which setting.
        name: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Everybody could come in.
    #[error(
        "{0} can be reached from other machines, and there is no key yet: make one with `isopleth keys create --name \
         ME --scope read,map` (with the same data_dir), or set auth to \"on\" to begin without, or to \"off\" to let \
         everybody in"
    )]
    Open(std::net::SocketAddr),
    /// The database failed.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its key; none where keys are off or none was needed.
    pub key: Option<KeyId>,
    /// What it may do.
    pub scopes: Scopes,
    /// Where it is.
    pub address: IpAddr,
    /// Whether what it makes may leave rows in the account.
    pub(crate) is_counted: bool,
    account: Option<Arc<Client>>,
}

impl Caller {
    /// The caller of a request that came through the doors.
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(Self::nobody)
    }

    /// Who came through no door, such as the service itself: it may do nothing, and nothing is on its account.
    pub(crate) fn nobody() -> Self {
        Self {
            key: None,
            scopes: Scopes::default(),
            address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            is_counted: true,
            account: None,
        }
    }

    /// Whose things are that it makes.
    #[must_use]
    pub fn owner(&self) -> String {
        self.key.as_ref().map_or_else(|| "anonymous".to_owned(), |id| format!("key:{id}"))
    }

    /// Whether it has shown a key that may see and remove what belongs to others.
    #[must_use]
    pub(crate) fn has_admin_key(&self) -> bool {
        self.key.is_some() && self.scopes.has(Scope::Admin)
    }

    /// Whether it may see and remove what belongs to this owner.
    #[must_use]
    pub fn owns(&self, owner: &str) -> bool {
        self.scopes.has(Scope::Admin) || self.owner() == owner
    }

    /// Whether it may see what belongs to this owner: its own, and the maps of schedules, which are everybody's.
    #[must_use]
    pub(crate) fn sees(&self, owner: &str) -> bool {
        self.owns(owner) || owner.starts_with(crate::schedule::OWNER)
    }

    /// Books cells about to be computed, all fields together. Blocks: for threads that compute.
    ///
    /// # Errors
    /// 429 where the day has not so many left, 413 where no day has.
    pub(crate) fn spend(&self, store: &Store, cells: u64) -> Result<(), ApiError> {
        self.account.as_ref().map_or(Ok(()), |account| account.spend(store, cells))
    }
}

/// Keys, limits, and whom to believe.
#[derive(Debug)]
pub(crate) struct Doors {
    needs_keys: bool,
    metrics_open: bool,
    max_uri_bytes: usize,
    trusted: Vec<Cidr>,
    ring: Ring,
    clients: Clients,
}

impl Doors {
    pub(crate) fn new(config: &ServiceConfig, store: &Store) -> Result<Self, DoorsError> {
        bootstrap(config, store)?;
        let needs_keys = match config.auth {
            Auth::On => true,
            Auth::Off => false,
            Auth::Auto => store.read(|connection| -> Result<bool, rusqlite::Error> {
                let live = keys::not_revoked(connection)?;
                Ok(live.iter().any(|key| key.is_live(now())))
            })?,
        };
        Ok(Self {
            needs_keys,
            metrics_open: config.metrics_open,
            max_uri_bytes: config.max_uri_bytes,
            trusted: config.trusted_proxies.clone(),
            ring: Ring::default(),
            clients: Clients::new(config),
        })
    }

    /// Whether requests need a key.
    pub(crate) fn needs_keys(&self) -> bool {
        self.needs_keys
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|cidr| cidr.holds(address))
    }

    /// Adds to the database what was counted. Blocks.
    pub(crate) fn save(&self, store: &Store) {
        if let Err(error) = self.clients.save(store) {
            tracing::warn!(%error, "cells of the day are not saved; they will be tried again");
        }
    }

    /// Lets a request in, or says why not. Beside either: what to tell of the rate.
    async fn admit(&self, store: &Store, request: &Parts) -> (Option<Rate>, Admitted) {
        let address = addresses::client(&request.extensions, &request.headers, &self.trusted);
        let need = rules::need(&request.method, request.uri.path(), self.metrics_open);
        let nobody = Caller {
            key: None,
            scopes: Scopes::default(),
            address,
            is_counted: true,
            account: None,
        };
        if need == Need::Nothing {
            return (None, Ok((nobody, None)));
        }
        let uri = request.uri.path_and_query().map_or(0, |both| both.as_str().len());
        if uri > self.max_uri_bytes {
            return (None, Err(ApiError::uri_too_long(self.max_uri_bytes)));
        }
        let identified = match (self.needs_keys, need) {
            (true, Need::Key(_)) => self.identify(store, &request.headers).await,
            (false, _) => Ok(Identified { scopes: Scopes::all(), ..Identified::default() }),
            _ => Ok(Identified::default()),
        };
        // A wrong key is on the account of the address, so that trying keys has a rate, too.
        let who = match &identified {
            Ok(Identified { key: Some(id), .. }) => Who::Key(id.clone()),
            _ => Who::at(address),
        };
        let limits = identified.as_ref().map_or(KeyLimits::default(), |known| known.limits);
        let account = self.clients.account(who, limits);
        let (rate, counted) = account.count();
        let admitted =
            counted.and(identified).and_then(|Identified { key, scopes, is_uncounted, .. }| {
                if let Need::Key(scope) = need
                    && !scopes.has(scope)
                {
                    return Err(lacking(scope, scopes));
                }
                let ticket = account.enter()?;
                let is_counted = !is_uncounted;
                let account = Some(Arc::clone(&account));
                let caller = Caller { key, scopes, address, is_counted, account };
                Ok((caller, Some(ticket)))
            });
        (rate, admitted)
    }

    async fn identify(&self, store: &Store, headers: &HeaderMap) -> Result<Identified, ApiError> {
        let sent = sent(headers)?;
        let token = Token::parse(sent).ok_or_else(unknown)?;
        let key = self.ring.find(store, token).await?.ok_or_else(unknown)?;
        if !key.is_live(now()) {
            return Err(ApiError::unauthorized(format!("the key {} has expired", key.id)));
        }
        Ok(Identified {
            key: Some(key.id.clone()),
            scopes: key.scopes,
            limits: key.limits,
            is_uncounted: !key.is_counted,
        })
    }
}

/// What is known of a caller by its key.
#[derive(Default)]
struct Identified {
    key: Option<KeyId>,
    scopes: Scopes,
    limits: KeyLimits,
    /// It leaves no rows in the account.
    is_uncounted: bool,
}

type Admitted = Result<(Caller, Option<clients::Ticket>), ApiError>;

/// The key of the configuration, where there is one: a container then needs no command to begin.
fn bootstrap(config: &ServiceConfig, store: &Store) -> Result<(), DoorsError> {
    let (name, token) = match (&config.bootstrap_key, &config.bootstrap_key_file) {
        (Some(key), _) => ("bootstrap_key", key.reveal().to_owned()),
        (None, Some(path)) => {
            let name = "bootstrap_key_file";
            let text = std::fs::read_to_string(path).map_err(|error| {
                let why = format!("cannot read {}: {error}", path.display());
                DoorsError::Bootstrap { name, why }
            })?;
            (name, text)
        }
        (None, None) => return Ok(()),
    };
    let new = NewKey {
        name: "bootstrap".to_owned(),
        scopes: Scopes::all(),
        expires: None,
        limits: KeyLimits::default(),
        is_counted: true,
    };
    match keys::install(store, token.trim(), &new, "service") {
        Ok(_) => Ok(()),
        Err(KeyError::Sqlite(error)) => Err(error.into()),
        Err(error) => Err(DoorsError::Bootstrap { name, why: error.to_string() }),
    }
}

/// What is sent as a key; told twice it must be the same.
fn sent(headers: &HeaderMap) -> Result<&str, ApiError> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().map(|value| {
        let text = value.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let plain = headers.get_all(API_KEY).iter().map(|value| value.to_str().ok().map(str::trim));
    let mut sent = bearer.chain(plain);
    let first = sent.next().ok_or_else(|| {
        let text = "send a key as `Authorization: Bearer iso_…` or `X-API-Key: iso_…`; \
                    `isopleth keys create` makes one";
        ApiError::unauthorized(text)
    })?;
    if sent.any(|other| other != first) {
        return Err(ApiError::unauthorized("two different keys are sent; send one"));
    }
    first.ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::unauthorized("the key is not known; it may be misspelt, or revoked")
}

fn lacking(scope: Scope, scopes: Scopes) -> ApiError {
    let needed = scope.name();
    ApiError::forbidden(match scopes.to_string().as_str() {
        "" => format!("this needs a key with scope {needed}"),
        has => format!("this needs a key with scope {needed}; yours has {has}"),
    })
}

/// Around every route: nobody comes in by another way.
pub(crate) async fn enter(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let (rate, admitted) = state.doors().admit(state.store(), &head).await;
    let mut response = match admitted {
        Err(refusal) => refusal.into_response(),
        Ok((caller, ticket)) => {
            if let Some(key) = &caller.key {
                tracing::debug!(key = key.as_str(), "let in");
            }
            head.extensions.insert(caller);
            let response = next.run(Request::from_parts(head, body)).await;
            match ticket {
                Some(ticket) => response.map(|body| held(body, ticket)),
                None => response,
            }
        }
    };
    if let Some(rate) = rate {
        tell(response.headers_mut(), rate);
    }
    response
}

/// The same body; the ticket is given back when it is sent, or the client has gone.
fn held(body: Body, ticket: clients::Ticket) -> Body {
    Body::new(crate::body::Holding::new(body, ticket))
}

fn tell(headers: &mut HeaderMap, rate: Rate) {
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let values = [u64::from(rate.limit), u64::from(rate.remaining), rate.reset];
    for (name, value) in names.into_iter().zip(values) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// Pages of other origins that may use the service; none where the list is empty.
pub(crate) fn cors(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        let values = origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok());
        AllowOrigin::list(values)
    };
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            header::IF_RANGE,
            header::RANGE,
            API_KEY,
            name("idempotency-key"),
            name("prefer"),
            name("webhook-url"),
            crate::observe::REQUEST_ID,
            crate::account::USAGE,
        ])
        .expose_headers([
            header::CONTENT_DISPOSITION,
            header::CONTENT_LOCATION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            crate::observe::REQUEST_ID,
            name("preference-applied"),
            name("x-ratelimit-limit"),
            name("x-ratelimit-remaining"),
            name("x-ratelimit-reset"),
        ])
        .max_age(std::time::Duration::from_secs(600));
    Some(layer)
}

/// Unix seconds.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Days since 1970, UTC.
fn today() -> i64 {
    now().div_euclid(DAY)
}
