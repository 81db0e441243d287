//! What each client takes: requests a minute, requests at once, cells a day. A client is a key or, without
//! one, an address (IPv6: a network of 64 bits, which one customer has).
//!
//! Bounded: clients that were idle for a minute make room; where that is not enough, newcomers share one
//! account. Cells are counted in memory, and added to the database every few seconds and at the end.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use rusqlite::{OptionalExtension, params};

use super::addresses::customer;
use super::keys::{KeyId, KeyLimits};
use super::today;
use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::store::Store;

/// Clients that are told apart at the same time.
const MOST: usize = 10_000;
/// Seconds without a request after which a client may be forgotten: by then it may do again all that it
/// may do in a minute.
const IDLE: u64 = 60;
/// Days of which the cells are kept.
const DAYS: i64 = 400;

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>;

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    Key(KeyId),
    Address(IpAddr),
    /// More than are told apart.
    Others,
}

impl Who {
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(customer(address))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Address(address) => write!(f, "address:{address}"),
            Self::Others => f.write_str("others"),
        }
    }
}

/// One client's account.
#[derive(Debug)]
pub(super) struct Client {
    who: Who,
    rate: Option<Limiter>,
    at_once: Option<u32>,
    cells_per_day: Option<u64>,
    in_flight: AtomicU32,
    /// Seconds of the house's clock.
    seen: AtomicU64,
    cells: Mutex<Day>,
}

/// Cells of a day.
#[derive(Debug, Default)]
struct Day {
    /// Days since 1970; 0: nothing is known yet.
    day: i64,
    cells: u64,
    /// Of these not in the database yet.
    unsaved: u64,
}

/// What the headers say of a client's rate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Seconds until all of it may be taken again.
    pub(super) reset: u64,
}

/// A request under way; its place is free when this is gone.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Client>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Every client's account.
#[derive(Debug)]
pub(super) struct Clients {
    defaults: KeyLimits,
    start: Instant,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    by: HashMap<Who, Arc<Client>>,
    /// When room was last looked for.
    swept: u64,
}

impl Clients {
    pub(super) fn new(config: &ServiceConfig) -> Self {
        let some = |limit: u32| Some(limit).filter(|limit| *limit > 0);
        let defaults = KeyLimits {
            requests_per_minute: some(config.requests_per_minute),
            requests_at_once: some(config.requests_at_once),
            cells_per_day: Some(config.cells_per_day).filter(|limit| *limit > 0),
        };
        Self { defaults, start: Instant::now(), accounts: Mutex::default() }
    }

    /// The account of a client, with the limits of its key where it has some of its own.
    pub(super) fn account(&self, who: Who, own: KeyLimits) -> Arc<Client> {
        let now = self.start.elapsed().as_secs();
        let mut accounts = lock(&self.accounts);
        if let Some(client) = accounts.by.get(&who) {
            client.seen.store(now, Ordering::Relaxed);
            return Arc::clone(client);
        }
        if accounts.by.len() >= MOST && accounts.swept != now {
            accounts.swept = now;
            accounts.by.retain(|_, client| !client.is_idle(now));
        }
        // A key's own limits hold in any case: keys are few enough.
        let full = accounts.by.len() >= MOST && matches!(who, Who::Address(_));
        let who = if full { Who::Others } else { who };
        let new = || Arc::new(Client::new(who.clone(), own.or(self.defaults), now));
        Arc::clone(accounts.by.entry(who.clone()).or_insert_with(new))
    }

    /// Adds what was computed to the database. Blocks.
    ///
    /// # Errors
    /// If the database fails; then it is still counted here.
    pub(super) fn save(&self, store: &Store) -> Result<(), rusqlite::Error> {
        let clients: Vec<Arc<Client>> = lock(&self.accounts).by.values().cloned().collect();
        let unsaved: Vec<(Arc<Client>, i64, u64)> = clients
            .into_iter()
            .filter_map(|client| {
                let (day, unsaved) = {
                    let day = lock(&client.cells);
                    (day.day, day.unsaved)
                };
                (unsaved > 0).then_some((client, day, unsaved))
            })
            .collect();
        if unsaved.is_empty() {
            return Ok(());
        }
        let totals = store.write(|tx| {
            tx.execute("DELETE FROM cells_by_day WHERE day < ?1", [today() - DAYS])?;
            let mut statement = tx.prepare(
                "INSERT INTO cells_by_day VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET cells = cells + excluded.cells RETURNING cells",
            )?;
            let mut add = |(client, day, cells): &(Arc<Client>, i64, u64)| {
                let cells = i64::try_from(*cells).unwrap_or(i64::MAX);
                statement.query_row(params![client.who.to_string(), day, cells], |r| r.get(0))
            };
            unsaved.iter().map(&mut add).collect::<Result<Vec<i64>, rusqlite::Error>>()
        })?;
        for ((client, day, saved), total) in unsaved.iter().zip(totals) {
            let mut now = lock(&client.cells);
            if now.day == *day {
                now.unsaved -= saved;
                // Other processes of the same folder count, too.
                now.cells = u64::try_from(total).unwrap_or(0) + now.unsaved;
            }
        }
        Ok(())
    }
}

impl KeyLimits {
    fn or(self, other: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(other.requests_per_minute),
            requests_at_once: self.requests_at_once.or(other.requests_at_once),
            cells_per_day: self.cells_per_day.or(other.cells_per_day),
        }
    }
}

impl Client {
    fn new(who: Who, limits: KeyLimits, now: u64) -> Self {
        let rate = limits.requests_per_minute.and_then(NonZeroU32::new).map(|most| {
            RateLimiter::direct(Quota::per_minute(most))
                .with_middleware::<StateInformationMiddleware>()
        });
        Self {
            who,
            rate,
            at_once: limits.requests_at_once,
            cells_per_day: limits.cells_per_day,
            in_flight: AtomicU32::new(0),
            seen: AtomicU64::new(now),
            cells: Mutex::default(),
        }
    }

    fn is_idle(&self, now: u64) -> bool {
        now.saturating_sub(self.seen.load(Ordering::Relaxed)) >= IDLE
            && self.in_flight.load(Ordering::Relaxed) == 0
            && lock(&self.cells).unsaved == 0
    }

    /// Counts a request. What to tell of the rate, if there is one; and whether it may go on.
    pub(super) fn count(&self) -> (Option<Rate>, Result<(), ApiError>) {
        let Some(limiter) = &self.rate else { return (None, Ok(())) };
        match limiter.check() {
            Ok(state) => {
                let limit = state.quota().burst_size().get();
                let remaining = state.remaining_burst_capacity();
                let used = limit.saturating_sub(remaining);
                let reset = state.quota().replenish_interval() * used;
                (Some(Rate { limit, remaining, reset: whole_seconds(reset) }), Ok(()))
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(DefaultClock::default().now());
                let limit = not_until.quota().burst_size().get();
                let reset = whole_seconds(not_until.quota().burst_size_replenished_in());
                let text = format!("{} may send {limit} requests a minute", self.who);
                let refusal = ApiError::too_many(&text, whole_seconds(wait).max(1));
                (Some(Rate { limit, remaining: 0, reset }), Err(refusal))
            }
        }
    }

    /// A place among the requests of this client that are under way.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Ticket, ApiError> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let ticket = Ticket(Arc::clone(self));
        match self.at_once {
            Some(most) if before >= most => {
                let text = format!("{} may have {most} requests at the same time", self.who);
                Err(ApiError::too_many(&text, 1))
            }
            _ => Ok(ticket),
        }
    }

    /// Books cells about to be computed. Reads the database for the first of a day. Blocks.
    pub(super) fn spend(&self, store: &Store, cells: u64) -> Result<(), ApiError> {
        if self.cells_per_day.is_none() && !matches!(self.who, Who::Key(_)) {
            return Ok(());
        }
        let today = today();
        let mut day = lock(&self.cells);
        if day.day != today {
            let booked = booked(store, &self.who, today)?;
            // What was not saved of yesterday is lost with the day: seconds before midnight.
            *day = Day { day: today, cells: booked, unsaved: 0 };
        }
        let wanted = day.cells.saturating_add(cells);
        match self.cells_per_day {
            Some(most) if cells > most => {
                return Err(ApiError::too_large(format!(
                    "the request asks for {cells} cells, more than the {most} that {} may have in a day",
                    self.who
                )));
            }
            Some(most) if wanted > most => {
                let left = most.saturating_sub(day.cells);
                let text = format!(
                    "the request asks for {cells} cells; of the {most} that {} may have in a day {left} are left",
                    self.who
                );
                return Err(ApiError::too_many(&text, until_midnight()));
            }
            _ => (),
        }
        (day.cells, day.unsaved) = (wanted, day.unsaved.saturating_add(cells));
        Ok(())
    }
}

fn booked(store: &Store, who: &Who, day: i64) -> Result<u64, ApiError> {
    let found: Option<i64> = store.read(|connection| {
        let mut statement =
            connection.prepare("SELECT cells FROM cells_by_day WHERE who = ?1 AND day = ?2")?;
        let row = statement.query_row(params![who.to_string(), day], |row| row.get(0));
        row.optional().map_err(ApiError::from)
    })?;
    Ok(found.map_or(0, |cells| u64::try_from(cells).unwrap_or(0)))
}

fn until_midnight() -> u64 {
    let seconds = super::now().rem_euclid(super::DAY);
    u64::try_from(super::DAY - seconds).unwrap_or(1)
}

fn whole_seconds(time: std::time::Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Who {
        Who::at(text.parse().expect("an address"))
    }

    #[test]
    fn an_address_in_ipv6_is_its_network_and_one_mapped_is_itself() {
        assert_eq!(address("2001:db8:1:2:3:4:5:6"), address("2001:db8:1:2::9"));
        assert_ne!(address("2001:db8:1:2::9"), address("2001:db8:1:3::9"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        assert_eq!(address("10.0.0.1").to_string(), "address:10.0.0.1");
    }

    #[test]
    fn the_rate_is_each_clients_own_and_told() {
        let config = ServiceConfig { requests_per_minute: 2, ..Default::default() };
        let clients = Clients::new(&config);
        let one = clients.account(address("10.0.0.1"), KeyLimits::default());
        let (rate, first) = one.count();
        assert!(first.is_ok());
        let rate = rate.expect("a rate");
        assert_eq!((rate.limit, rate.remaining, rate.reset), (2, 1, 30));
        assert!(one.count().1.is_ok());
        let (rate, third) = one.count();
        assert_eq!(rate.expect("a rate").remaining, 0);
        assert_eq!(third.expect_err("the third").status(), 429);
        let two = clients.account(address("10.0.0.2"), KeyLimits::default());
        assert!(two.count().1.is_ok());
        let own = KeyLimits { requests_per_minute: Some(5), ..Default::default() };
        let key = clients.account(Who::Key(KeyId::from("abcd")), own);
        assert_eq!(key.count().0.expect("a rate").limit, 5);
    }

    #[test]
    fn places_at_the_same_time_come_back() {
        let config = ServiceConfig { requests_at_once: 1, ..Default::default() };
        let client = Clients::new(&config).account(address("10.0.0.1"), KeyLimits::default());
        let ticket = client.enter().expect("the first");
        assert_eq!(client.enter().expect_err("the second").status(), 429);
        drop(ticket);
        assert!(client.enter().is_ok());
    }

    #[test]
    fn cells_of_a_day_are_remembered_by_the_database() {
        let store = Store::open(None).expect("a database");
        let config = ServiceConfig { cells_per_day: 100, ..Default::default() };
        let who = || address("10.0.0.1");
        let first = Clients::new(&config);
        let account = first.account(who(), KeyLimits::default());
        account.spend(&store, 60).expect("within");
        assert_eq!(account.spend(&store, 101).expect_err("never").status(), 413);
        assert_eq!(account.spend(&store, 50).expect_err("not today").status(), 429);
        first.save(&store).expect("saved");
        first.save(&store).expect("nothing to save");
        let again = Clients::new(&config).account(who(), KeyLimits::default());
        assert_eq!(again.spend(&store, 50).expect_err("not today").status(), 429);
        again.spend(&store, 40).expect("what was left");
    }

    #[test]
    fn the_number_of_accounts_is_bounded_and_newcomers_share_one() {
        let clients = Clients::new(&ServiceConfig::default());
        for k in 0..u32::try_from(MOST).expect("small") + 500 {
            let who = Who::at(std::net::Ipv4Addr::from_bits(k).into());
            clients.account(who, KeyLimits::default());
        }
        assert!(lock(&clients.accounts).by.len() <= MOST + 1);
        let late = clients.account(address("250.0.0.1"), KeyLimits::default());
        assert_eq!(late.who, Who::Others);
        let key = clients.account(Who::Key(KeyId::from("abcd")), KeyLimits::default());
        assert_eq!(key.who.to_string(), "key:abcd");
    }
}
