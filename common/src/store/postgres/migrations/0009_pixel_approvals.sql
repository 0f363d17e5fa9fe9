-- Who approved which code of a connector's pixel, and who took that back. Nothing is ever changed here: the newest
-- entry of a connector is the one that counts, and the others are its history.
CREATE TABLE pixel_approvals (
    sequence BIGINT PRIMARY KEY,
    connector TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    approved BIGINT NOT NULL,
    who TEXT NOT NULL,
    at BIGINT NOT NULL
);
