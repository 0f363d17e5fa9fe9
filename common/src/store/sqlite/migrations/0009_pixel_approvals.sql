-- Who approved which code of a connector's pixel, and who took that back. Nothing is ever changed here: the newest
-- entry of a connector is the one that counts, and the others are its history.
CREATE TABLE pixel_approvals (
    sequence INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    hash TEXT NOT NULL,
    approved INTEGER NOT NULL,
    who TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
