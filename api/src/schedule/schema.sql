-- Schedules, and what became of their hours. All times are seconds since 1970 by the service's clock; those that end
-- in _ms milliseconds by the system's.

CREATE TABLE schedules (
    id       TEXT PRIMARY KEY NOT NULL,
    -- JSON, and its digest.
    document TEXT NOT NULL,
    tag      TEXT NOT NULL,
    -- Whether it stands in the configuration: then it cannot be changed otherwise.
    origin   TEXT NOT NULL CHECK (origin IN ('api', 'config')),
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    -- All hours up to this one have their rows.
    made_to  INTEGER NOT NULL,
    -- The process that works at it, until when nobody else may, and how often that was taken: whoever
    -- writes names the number it was given.
    holder   TEXT,
    lease_ms INTEGER NOT NULL DEFAULT 0,
    token    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE slots (
    schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    hour     INTEGER NOT NULL,
    state    TEXT NOT NULL
        CHECK (state IN ('waiting', 'running', 'made', 'too_few', 'missing', 'failed')),
    -- The latest; 0: there is none.
    revision INTEGER NOT NULL DEFAULT 0,
    -- The job that runs.
    job      TEXT,
    -- What the source said of the readings that were taken last; what they are (digest of the readings as
    -- understood, of the bytes, name of the file), and of how many stations.
    mark     TEXT,
    digest   TEXT,
    input    TEXT,
    name     TEXT,
    stations INTEGER,
    -- When readings are expected, and when they are looked for next; NULL: never again.
    since    INTEGER NOT NULL,
    due      INTEGER,
    -- Looks in a row that failed.
    attempts INTEGER NOT NULL DEFAULT 0,
    -- 1: a new revision is wanted, even of the same readings; 2: such a one is being made.
    again    INTEGER NOT NULL DEFAULT 0,
    origin   TEXT NOT NULL DEFAULT 'cron' CHECK (origin IN ('cron', 'backfill', 'posted')),
    -- The kind of the notice that is open.
    problem  TEXT,
    message  TEXT,
    updated  INTEGER NOT NULL,
    PRIMARY KEY (schedule, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX slots_by_due ON slots (schedule, due) WHERE due IS NOT NULL;
CREATE INDEX slots_by_state ON slots (schedule, state, hour);
CREATE INDEX slots_running ON slots (schedule, hour) WHERE state = 'running';

CREATE TABLE revisions (
    schedule TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    map      TEXT NOT NULL,
    job      TEXT NOT NULL,
    input    TEXT NOT NULL,
    digest   TEXT NOT NULL,
    name     TEXT NOT NULL,
    stations INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    why      TEXT NOT NULL CHECK (why IN ('first', 'late', 'corrected', 'asked')),
    -- Whether the schedule keeps the map.
    kept     INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (schedule, hour, revision),
    FOREIGN KEY (schedule, hour) REFERENCES slots (schedule, hour) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX revisions_kept ON revisions (schedule, hour) WHERE kept = 1;

-- Bodies that stay for the sake of a slot.
CREATE TABLE slot_inputs (
    schedule TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    digest   TEXT NOT NULL REFERENCES inputs (digest),
    PRIMARY KEY (schedule, hour, digest),
    FOREIGN KEY (schedule, hour) REFERENCES slots (schedule, hour) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX slot_inputs_by_digest ON slot_inputs (digest);

-- Readings that were posted, the latest of each hour.
CREATE TABLE posted (
    schedule TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    name     TEXT NOT NULL,
    input    TEXT NOT NULL,
    gzip     INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (schedule, hour),
    FOREIGN KEY (schedule, hour) REFERENCES slots (schedule, hour) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    schedule TEXT NOT NULL,
    hour     INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    sink     TEXT NOT NULL,
    state    TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'superseded', 'failed')),
    due      INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- The process that delivers.
    holder   TEXT,
    -- JSON: where it is now.
    places   TEXT,
    problem  INTEGER NOT NULL DEFAULT 0,
    message  TEXT,
    updated  INTEGER NOT NULL,
    PRIMARY KEY (schedule, hour, revision, sink),
    FOREIGN KEY (schedule, hour, revision) REFERENCES revisions (schedule, hour, revision)
        ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_due ON deliveries (sink, due) WHERE state = 'waiting';

CREATE TABLE backfills (
    id       INTEGER PRIMARY KEY,
    schedule TEXT NOT NULL REFERENCES schedules (id) ON DELETE CASCADE,
    first    INTEGER NOT NULL,
    last     INTEGER NOT NULL,
    slots    INTEGER NOT NULL,
    again    INTEGER NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

-- What somebody should know: to the file and to the webhook.
CREATE TABLE notices (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    schedule  TEXT NOT NULL,
    hour      INTEGER,
    message   TEXT NOT NULL,
    created   INTEGER NOT NULL,
    -- Whether the file has it; NULL: there is none.
    filed     INTEGER NOT NULL DEFAULT 0,
    -- When the webhook is told next; NULL: it is, or there is none.
    hook_due  INTEGER,
    attempts  INTEGER NOT NULL DEFAULT 0,
    told      INTEGER
) STRICT;
CREATE INDEX notices_by_filed ON notices (filed) WHERE filed = 0;
CREATE INDEX notices_by_hook ON notices (hook_due) WHERE hook_due IS NOT NULL;
