-- What sinks hold: a row before anything is written, its mark once it has arrived.
CREATE TABLE delivered (
    sink TEXT NOT NULL,
    place TEXT NOT NULL,
    schedule TEXT NOT NULL,
    hour INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    -- Identifies the contents; empty until they have arrived.
    mark TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (sink, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivered_hours ON delivered (sink, schedule, hour);
