//! What a key allows.

use std::fmt;
use std::str::FromStr;

/// One thing that a key may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// To read what there is, and to ask what a map would take.
    Read = 1,
    /// To compute: maps, cross-validations, jobs; to remember networks.
    Map = 2,
    /// To look after what belongs to others.
    Admin = 4,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Read, Self::Map, Self::Admin];

    /// What the command line, the database and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Map => "map",
            Self::Admin => "admin",
        }
    }
}

/// Some scopes, none of which includes another. Read from and written as `read,map,admin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every one of them.
    #[must_use]
    pub fn all() -> Self {
        Self(Scope::ALL.iter().fold(0, |bits, scope| bits | *scope as u8))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope as u8 != 0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::name).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).try_fold(Self(0), |scopes, name| {
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name);
            let scope = scope
                .ok_or_else(|| format!("`{name}` is no scope; they are read, map and admin"))?;
            Ok(Self(scopes.0 | scope as u8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["read", "map", "admin", "read,map", "read,map,admin"] {
            assert_eq!(text.parse::<Scopes>().expect(text).to_string(), text);
        }
        let some: Scopes = " map , read".parse().expect("two");
        assert!(some.has(Scope::Read) && some.has(Scope::Map) && !some.has(Scope::Admin));
        assert_eq!("admin,map,read".parse(), Ok(Scopes::all()));
        for wrong in ["", "write", "read,", "Read"] {
            assert!(wrong.parse::<Scopes>().is_err(), "{wrong}");
        }
    }
}
