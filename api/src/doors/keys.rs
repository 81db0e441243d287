//! Keys: what they look like, and all SQL on their table.
//!
//! A key is `iso_<id>_<secret>`: the id may be seen by anybody, the secret has 256 random bits. Kept is
//! BLAKE3 of the whole: a secret that cannot be guessed needs no slow hash. It is told once, when it is made.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::audit;
use super::scopes::Scopes;
use super::{now, today};
use crate::store::Store;

/// Keys that were ever made; they are all in memory.
const MOST: i64 = 10_000;
const LONGEST_NAME: usize = 100;
const PREFIX: &str = "iso_";

/// Names a key in the log, in the database and on the command line; no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KeyId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one key may take; none: what the configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    /// Requests a minute.
    pub requests_per_minute: Option<u32>,
    /// Requests at the same time.
    pub requests_at_once: Option<u32>,
    /// Cells (of all fields) a day.
    pub cells_per_day: Option<u64>,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Whose it is, for people.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Unix seconds from which it is worth nothing.
    pub expires: Option<i64>,
    /// What it may take.
    pub limits: KeyLimits,
    /// Whether what it makes leaves rows in the account.
    pub is_counted: bool,
}

/// A key just made: the only time that the secret is seen.
pub struct MadeKey {
    /// Names it.
    pub id: KeyId,
    /// What is sent as `Authorization: Bearer …`.
    pub token: String,
}

/// A key as it is known.
#[derive(Clone, Debug)]
pub struct Key {
    /// Names it.
    pub id: KeyId,
    /// Whose it is.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// Unix seconds when it was made.
    pub created: i64,
    /// Unix seconds from which it is worth nothing.
    pub expires: Option<i64>,
    /// Unix seconds when it was revoked.
    pub revoked: Option<i64>,
    /// What it may take.
    pub limits: KeyLimits,
    /// Whether what it makes leaves rows in the account.
    pub is_counted: bool,
    hash: blake3::Hash,
}

/// Why a key cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The name is of no use.
    #[error("the name of a key has 1 to {LONGEST_NAME} characters without line breaks, got {0:?}")]
    Name(String),
    /// What should become a key is none.
    #[error(
        "a key looks like iso_<id>_<secret>, with an id of 4 to 32 small letters and digits and a secret of 43 to 128 \
         letters and digits; such as iso_boot_$(openssl rand -hex 32)"
    )]
    Form,
    /// There is another with this id.
    #[error("there is a key {0} already, with another secret; choose another id")]
    Taken(KeyId),
    /// No room.
    #[error("there are {MOST} keys, revoked ones included; more are not kept")]
    TooMany,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// Nobody knows it.
    #[error("there is no key {0}; `isopleth keys list` shows those there are")]
    Unknown(KeyId),
    /// It is revoked already.
    #[error("the key {0} is revoked already")]
    Revoked(KeyId),
    /// The database failed.
    #[error("the database: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// A key as it came with a request: form checked, nothing else.
#[derive(Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) id: &'a str,
    whole: &'a str,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (4..=32).contains(&id.len())
            && id.bytes().all(plain)
            && (43..=128).contains(&secret.len())
            && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then_some(Self { id, whole: text })
    }

    fn hash(self) -> blake3::Hash {
        blake3::hash(self.whole.as_bytes())
    }
}

impl Key {
    /// Whether it is this one: in constant time, as `blake3` compares hashes.
    pub(super) fn is(&self, token: Token<'_>) -> bool {
        self.hash == token.hash()
    }

    /// Whether it is worth something at this time.
    #[must_use]
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|end| now < end)
    }
}

/// Makes a key.
///
/// # Errors
/// [`KeyError`].
pub fn create(store: &Store, new: &NewKey, by: &str) -> Result<MadeKey, KeyError> {
    let (id, secret) = (random_hex::<6>()?, random_hex::<32>()?);
    let token = format!("{PREFIX}{id}_{secret}");
    let id = install(store, &token, new, by)?;
    Ok(MadeKey { id, token })
}

/// Keeps a key that somebody else has made; does nothing where it is known, revoked or not.
///
/// # Errors
/// [`KeyError`].
pub fn install(store: &Store, token: &str, new: &NewKey, by: &str) -> Result<KeyId, KeyError> {
    let token = Token::parse(token).ok_or(KeyError::Form)?;
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(KeyError::Name(new.name.clone()));
    }
    let id = KeyId::from(token.id);
    store.write(|tx| {
        match find(tx, &id)? {
            Some(known) if known.is(token) => return Ok(()),
            Some(_) => return Err(KeyError::Taken(id.clone())),
            None => (),
        }
        let count: i64 = tx.query_row("SELECT count(*) FROM keys", (), |row| row.get(0))?;
        if count >= MOST {
            return Err(KeyError::TooMany);
        }
        insert(tx, &id, name, token.hash(), new)?;
        let about = format!("{id} ({name}), scopes {}", new.scopes);
        Ok(audit::record(tx, by, "key made", &about)?)
    })?;
    Ok(id)
}

fn insert(
    tx: &Transaction<'_>,
    id: &KeyId,
    name: &str,
    hash: blake3::Hash,
    new: &NewKey,
) -> rusqlite::Result<usize> {
    let NewKey { scopes, expires, limits, is_counted, .. } = new;
    tx.execute(
        "INSERT INTO keys VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7, ?8, ?9, ?10)",
        params![
            id.as_str(),
            name,
            hash.as_bytes(),
            scopes.to_string(),
            now(),
            expires,
            limits.requests_per_minute,
            limits.requests_at_once,
            limits.cells_per_day.map(|cells| i64::try_from(cells).unwrap_or(i64::MAX)),
            is_counted,
        ],
    )
}

/// Makes a key worthless; a running service notices within seconds.
///
/// # Errors
/// [`KeyError`].
pub fn revoke(store: &Store, id: &KeyId, by: &str) -> Result<(), KeyError> {
    store.write(|tx| {
        let known = find(tx, id)?.ok_or_else(|| KeyError::Unknown(id.clone()))?;
        if known.revoked.is_some() {
            return Err(KeyError::Revoked(id.clone()));
        }
        tx.execute("UPDATE keys SET revoked = ?2 WHERE id = ?1", params![id.as_str(), now()])?;
        Ok(audit::record(tx, by, "key revoked", &format!("{id} ({})", known.name))?)
    })
}

/// Every key with the cells computed for it today, the oldest first.
///
/// # Errors
/// If the database fails.
pub fn list(store: &Store) -> Result<Vec<(Key, u64)>, KeyError> {
    store.read(|connection| {
        let mut statement = connection.prepare(
            "SELECT keys.*, coalesce(cells, 0) AS cells_today FROM keys
             LEFT JOIN cells_by_day ON who = 'key:' || id AND day = ?1 ORDER BY created, id",
        )?;
        let rows = statement.query_map([today()], |row| {
            Ok((key(row)?, u64::try_from(row.get::<_, i64>("cells_today")?).unwrap_or(0)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Those that are not revoked.
pub(super) fn not_revoked(connection: &Connection) -> rusqlite::Result<Vec<Key>> {
    let mut statement = connection.prepare("SELECT * FROM keys WHERE revoked IS NULL")?;
    let rows = statement.query_map((), key)?;
    rows.collect()
}

fn find(connection: &Connection, id: &KeyId) -> rusqlite::Result<Option<Key>> {
    connection.query_row("SELECT * FROM keys WHERE id = ?1", [id.as_str()], key).optional()
}

fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let id: String = row.get("id")?;
    let scopes: String = row.get("scopes")?;
    let cells: Option<i64> = row.get("cells_per_day")?;
    Ok(Key {
        id: KeyId(id.into()),
        name: row.get("name")?,
        // Whatever a later version may have written, here it allows nothing.
        scopes: scopes.parse().unwrap_or_default(),
        created: row.get("created")?,
        expires: row.get("expires")?,
        revoked: row.get("revoked")?,
        limits: KeyLimits {
            requests_per_minute: row.get("requests_per_minute")?,
            requests_at_once: row.get("requests_at_once")?,
            cells_per_day: cells.map(|cells| u64::try_from(cells).unwrap_or(0)),
        },
        is_counted: row.get("usage")?,
        hash: blake3::Hash::from_bytes(row.get("hash")?),
    })
}

fn random_hex<const BYTES: usize>() -> Result<String, KeyError> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(name: &str) -> NewKey {
        let scopes = "read,map".parse().expect("two scopes");
        NewKey {
            name: name.into(),
            scopes,
            expires: None,
            limits: KeyLimits::default(),
            is_counted: true,
        }
    }

    #[test]
    fn a_key_is_known_again_and_no_other_is() {
        let store = Store::open(None).expect("a database");
        let made = create(&store, &new("one"), "a test").expect("a key");
        let other = create(&store, &new("two"), "a test").expect("a key");
        assert_eq!(made.token.len(), "iso_".len() + 12 + 1 + 64);
        let token = Token::parse(&made.token).expect("a key's form");
        let known = list(&store).expect("a list").into_iter().find(|(key, _)| key.id == made.id);
        let known = known.expect("it is listed").0;
        assert!(known.is(token) && known.id.as_str() == token.id);
        assert!(!known.is(Token::parse(&other.token).expect("a key's form")));
        let mut wrong = made.token.clone();
        let last = if wrong.pop() == Some('0') { '1' } else { '0' };
        wrong.push(last);
        assert!(!known.is(Token::parse(&wrong).expect("a key's form")));
    }

    #[test]
    fn the_secret_is_nowhere_in_the_database() {
        let store = Store::open(None).expect("a database");
        let made = create(&store, &new("one"), "a test").expect("a key");
        let secret = made.token.rsplit('_').next().expect("a secret").to_owned();
        for entry in std::fs::read_dir(store.folder()).expect("the folder") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "the secret is in a file");
        }
    }

    #[test]
    fn a_revoked_key_stays_revoked_and_an_expired_one_is_worth_nothing() {
        let store = Store::open(None).expect("a database");
        let token = format!("iso_boot_{}", "a1".repeat(32));
        let id = install(&store, &token, &new("boot"), "a test").expect("a key");
        revoke(&store, &id, "a test").expect("revoked");
        assert!(matches!(revoke(&store, &id, "a test"), Err(KeyError::Revoked(_))));
        install(&store, &token, &new("boot"), "a test").expect("known");
        assert!(!list(&store).expect("a list")[0].0.is_live(now()));
        let late = NewKey { expires: Some(1000), ..new("late") };
        create(&store, &late, "a test").expect("a key");
        let late = list(&store).expect("a list").into_iter().find(|(key, _)| key.name == "late");
        let late = late.expect("it is listed").0;
        assert!(late.is_live(999) && !late.is_live(1000));
    }

    #[test]
    fn what_is_no_key_and_no_name_is_refused() {
        let store = Store::open(None).expect("a database");
        let made = |token: &str| install(&store, token, &new("x"), "a test");
        for wrong in ["", "iso_", "iso_a_b", "iso_boot_short", "key_boot_0", "iso_BOOT_0"] {
            assert!(matches!(made(wrong), Err(KeyError::Form)), "{wrong}");
        }
        let secret = |c: &str| format!("iso_boot_{}", c.repeat(64));
        made(&secret("0")).expect("a key");
        assert!(matches!(made(&secret("1")), Err(KeyError::Taken(_))));
        for name in ["", "  ", "a\nb", &"x".repeat(101)] {
            assert!(matches!(create(&store, &new(name), "a test"), Err(KeyError::Name(_))));
        }
        let nobody = KeyId::from("nobody");
        assert!(matches!(revoke(&store, &nobody, "a test"), Err(KeyError::Unknown(_))));
    }
}
