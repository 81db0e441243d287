-- Jobs and what they leave. All times are seconds since 1970, those that end in _ms milliseconds.

-- Bodies of requests, by the hash of their bytes; the bytes are files in inputs/.
CREATE TABLE inputs (
    digest  TEXT PRIMARY KEY,
    bytes   INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    id                TEXT PRIMARY KEY,
    -- Whose it is: the id of a key, or 'anonymous'. Nobody else sees it.
    owner             TEXT NOT NULL,
    state             TEXT NOT NULL
        CHECK (state IN ('accepted', 'running', 'successful', 'failed', 'dismissed')),
    lane              TEXT NOT NULL CHECK (lane IN ('interactive', 'long')),
    -- Which inputs are read how (JSON), and its hash.
    request           TEXT NOT NULL,
    fingerprint       TEXT NOT NULL,
    idempotency_key   TEXT,
    -- What was foreseen.
    fields            INTEGER NOT NULL,
    cells             INTEGER NOT NULL,
    predicted_seconds REAL NOT NULL,
    predicted_bytes   INTEGER NOT NULL,
    created           INTEGER NOT NULL,
    started           INTEGER,
    updated           INTEGER NOT NULL,
    finished          INTEGER,
    -- Attempts that completed no block.
    attempts          INTEGER NOT NULL DEFAULT 0,
    -- Of all jobs the one started last has the highest: keys take turns.
    turn              INTEGER NOT NULL DEFAULT 0,
    -- Each attempt has another; what does not name the present one changes nothing.
    token             INTEGER NOT NULL DEFAULT 0,
    -- The process that runs it, and until when nobody else may.
    holder            TEXT,
    lease_ms          INTEGER NOT NULL DEFAULT 0,
    -- After a failure of the machine: not before.
    not_before        INTEGER NOT NULL DEFAULT 0,
    stumbles          INTEGER NOT NULL DEFAULT 0,
    blocks            INTEGER,
    blocks_done       INTEGER NOT NULL DEFAULT 0,
    -- The map that it is to become.
    map               TEXT NOT NULL,
    message           TEXT,
    -- Why it failed: a problem (RFC 9457).
    problem           TEXT
) STRICT;
CREATE UNIQUE INDEX jobs_by_key ON jobs (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, lane, created);
CREATE INDEX jobs_by_owner ON jobs (owner, created);
CREATE INDEX jobs_by_turn ON jobs (turn);
CREATE INDEX jobs_by_owners_turn ON jobs (owner, turn);

CREATE TABLE job_inputs (
    job    TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    digest TEXT NOT NULL REFERENCES inputs (digest),
    PRIMARY KEY (job, digest)
) STRICT;
CREATE INDEX job_inputs_by_digest ON job_inputs (digest);

-- Words to be sent when a job ends.
CREATE TABLE hooks (
    job       TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    url       TEXT NOT NULL,
    -- NULL until the job has ended, and when it is delivered or given up.
    due       INTEGER,
    attempts  INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER,
    message   TEXT
) STRICT;
CREATE INDEX hooks_by_due ON hooks (due) WHERE due IS NOT NULL;

-- Finished maps. A row outlives its file, to say when and why that was removed.
CREATE TABLE maps (
    id         TEXT PRIMARY KEY,
    job        TEXT,
    network    TEXT,
    owner      TEXT NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    removed    INTEGER,
    removed_why TEXT,
    -- Name of the file in maps/.
    path       TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    -- BLAKE3 of its bytes.
    digest     TEXT NOT NULL,
    form       TEXT NOT NULL,
    -- JSON: [{"name": ..., "units": ...}]
    variables  TEXT NOT NULL,
    time_first INTEGER,
    time_last  INTEGER,
    west       REAL NOT NULL,
    south      REAL NOT NULL,
    east       REAL NOT NULL,
    north      REAL NOT NULL,
    -- JSON, as in the file.
    report     TEXT NOT NULL
) STRICT;
CREATE INDEX maps_by_created ON maps (created);
CREATE INDEX maps_by_job ON maps (job);
