-- Who may come in. Only a hash of the secret is kept; a row stays when its key is revoked.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    -- BLAKE3 of the whole key as it is sent.
    hash BLOB NOT NULL,
    -- Some of read, map, admin, with commas.
    scopes TEXT NOT NULL,
    -- Unix seconds, as all times here.
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    -- Limits of its own; NULL: those of the configuration.
    requests_per_minute INTEGER,
    requests_at_once INTEGER,
    cells_per_day INTEGER
) STRICT;

-- Cells computed for a key or an address on a day (days since 1970, UTC).
CREATE TABLE cells_by_day (
    who TEXT NOT NULL,
    day INTEGER NOT NULL,
    cells INTEGER NOT NULL,
    PRIMARY KEY (who, day)
) STRICT, WITHOUT ROWID;

-- What was done by those who may do more than others, and what the service began with.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    about TEXT NOT NULL
) STRICT;
