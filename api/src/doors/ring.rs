//! The keys in memory, read again from the database now and then, so that a request costs no query and one
//! that is revoked is noticed within seconds.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::keys::{self, Key, Token};
use crate::error::ApiError;
use crate::store::Store;

/// A key that was revoked is let in for so long at most.
const LIFE: Duration = Duration::from_secs(5);
/// A key that is not known makes us look again, if it is so long ago: unknown keys must not cost a query each.
const AFTER_MISS: Duration = Duration::from_secs(1);

type Keys = HashMap<String, Arc<Key>>;

#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: RwLock<Option<(Instant, Arc<Keys>)>>,
    /// One looks, the others wait for what it finds.
    looking: tokio::sync::Mutex<()>,
}

impl Ring {
    /// The key that is sent, unless it is unknown or revoked; expired ones are found.
    pub(super) async fn find(
        &self,
        store: &Store,
        token: Token<'_>,
    ) -> Result<Option<Arc<Key>>, ApiError> {
        let (age, keys) = self.younger_than(LIFE, store).await?;
        let found = |keys: &Keys| keys.get(token.id).filter(|key| key.is(token)).cloned();
        if let Some(key) = found(&keys) {
            return Ok(Some(key));
        }
        if keys.contains_key(token.id) || age < AFTER_MISS {
            return Ok(None);
        }
        Ok(found(&self.younger_than(AFTER_MISS, store).await?.1))
    }

    async fn younger_than(
        &self,
        life: Duration,
        store: &Store,
    ) -> Result<(Duration, Arc<Keys>), ApiError> {
        if let Some(fresh) = self.kept(life) {
            return Ok(fresh);
        }
        let _one = self.looking.lock().await;
        if let Some(fresh) = self.kept(life) {
            return Ok(fresh);
        }
        let asked = Instant::now();
        let read = store.looked_up(|connection| Ok(keys::not_revoked(connection)?)).await?;
        let keys = read.into_iter().map(|key| (key.id.as_str().to_owned(), Arc::new(key)));
        let keys = Arc::new(keys.collect::<Keys>());
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((asked, Arc::clone(&keys)));
        Ok((Duration::ZERO, keys))
    }

    fn kept(&self, life: Duration) -> Option<(Duration, Arc<Keys>)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let (read, keys) = kept.as_ref()?;
        let age = read.elapsed();
        (age < life).then(|| (age, Arc::clone(keys)))
    }
}
