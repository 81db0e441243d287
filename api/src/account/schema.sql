-- The account: what was made, for whom, with what, and what it took. docs/account.md tells each column.
CREATE TABLE usage (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    way TEXT NOT NULL,
    process TEXT NOT NULL,
    name TEXT,
    client TEXT NOT NULL,
    network TEXT,
    exit TEXT NOT NULL,
    status INTEGER,
    problem TEXT,
    stations INTEGER,
    fields INTEGER,
    cells INTEGER,
    variables INTEGER,
    kernel TEXT,
    metric TEXT,
    chosen_by TEXT,
    tolerance TEXT,
    evaluation TEXT,
    precision TEXT,
    format TEXT,
    factor TEXT,
    threads INTEGER,
    uncertainty INTEGER,
    transform INTEGER,
    mask INTEGER,
    background INTEGER,
    covariates INTEGER,
    anisotropy INTEGER,
    quality INTEGER,
    thin INTEGER,
    bounds INTEGER,
    projected INTEGER,
    series INTEGER,
    kept INTEGER,
    seconds REAL NOT NULL,
    waited_seconds REAL,
    run_seconds REAL,
    cpu_seconds REAL,
    read_seconds REAL,
    read_cpu_seconds REAL,
    choose_seconds REAL,
    choose_cpu_seconds REAL,
    factorise_seconds REAL,
    factorise_cpu_seconds REAL,
    solve_seconds REAL,
    solve_cpu_seconds REAL,
    evaluate_seconds REAL,
    evaluate_cpu_seconds REAL,
    finish_seconds REAL,
    finish_cpu_seconds REAL,
    predicted_seconds REAL,
    predicted_bytes INTEGER,
    peak_before_bytes INTEGER,
    peak_bytes INTEGER,
    pss_bytes INTEGER,
    group_peak_bytes INTEGER,
    attempts INTEGER,
    blocks INTEGER
) STRICT;
CREATE INDEX usage_by_end ON usage (ended_ms);

-- In whose name a job leaves a row there; NULL: it leaves none.
ALTER TABLE jobs ADD COLUMN account TEXT;
UPDATE jobs SET account = owner WHERE state IN ('accepted', 'running');

-- Whether what a key has made leaves rows.
ALTER TABLE keys ADD COLUMN usage INTEGER NOT NULL DEFAULT 1;

-- Ends that processes have seen, by day (days since 1970, UTC), whatever became of their rows.
CREATE TABLE usage_seen (
    day   INTEGER NOT NULL,
    way   TEXT NOT NULL,
    -- How many, and how many of them have no row: there was no room.
    ends  INTEGER NOT NULL,
    lost  INTEGER NOT NULL,
    PRIMARY KEY (day, way)
) STRICT, WITHOUT ROWID;

-- Files of days that are over; what is in them is no longer in `usage`.
CREATE TABLE usage_parts (
    day    INTEGER NOT NULL,
    part   INTEGER NOT NULL,
    rows   INTEGER NOT NULL,
    -- Of these, those of jobs.
    jobs   INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    -- BLAKE3 of the file.
    digest TEXT NOT NULL,
    PRIMARY KEY (day, part)
) STRICT, WITHOUT ROWID;

-- What was found when the counts of a day were compared.
CREATE TABLE reconciliations (
    day        INTEGER PRIMARY KEY,
    time       INTEGER NOT NULL,
    difference INTEGER NOT NULL,
    -- JSON.
    told       TEXT NOT NULL
) STRICT;

-- Small jobs with a known answer. All times in milliseconds since 1970.
CREATE TABLE canaries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    sent_ms  INTEGER NOT NULL,
    ended_ms INTEGER,
    seconds  REAL,
    -- NULL while it is under way; 'right', or what was wrong.
    outcome  TEXT,
    message  TEXT,
    -- Version of the program and instructions of the machine, and the hash of the values they gave.
    made_by  TEXT,
    digest   TEXT
) STRICT;
