-- Several processes on one store: who does what only one may do, and which binaries the schema serves.

-- Each step that was taken from here on, and the oldest version whose binaries can still work after it.
CREATE TABLE schema_steps (
    version INTEGER PRIMARY KEY,
    serves INTEGER NOT NULL,
    release TEXT NOT NULL,
    taken_at INTEGER NOT NULL
) STRICT;

-- Who does something that only one may do at a time, and until when it is theirs unless they renew it.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
