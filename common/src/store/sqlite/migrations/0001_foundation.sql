-- The first schema. Never edit a migration that was released: add the next number.
--
-- Ids are UUIDs as 16 bytes; `lower(hex(id))` shows one in a form that `carom-worker trace` takes, and
-- x'…' finds it. Times are milliseconds since 1970, UTC: `datetime(at / 1000, 'unixepoch')`.
-- Documents are the domain's own JSON; what a query needs of them stands beside them in columns.

CREATE TABLE resources (
    version INTEGER PRIMARY KEY,
    document TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

CREATE TABLE clicks (
    id BLOB NOT NULL PRIMARY KEY,
    advertiser TEXT NOT NULL,
    visitor BLOB NOT NULL,
    at INTEGER NOT NULL,
    touch INTEGER NOT NULL,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX clicks_by_visitor ON clicks (advertiser, visitor, at, id) WHERE touch = 1;

-- progress: parked, decided, handed_over. The dedupe key is the marker: it goes when it is too old.
CREATE TABLE events (
    id BLOB NOT NULL PRIMARY KEY,
    advertiser TEXT NOT NULL,
    source TEXT NOT NULL,
    source_event_id TEXT,
    dedupe_key TEXT,
    type TEXT NOT NULL,
    name TEXT,
    received_at INTEGER NOT NULL,
    progress TEXT NOT NULL,
    click_id BLOB,
    conversion_key TEXT,
    document TEXT NOT NULL
) STRICT;
-- Keys stand before their advertiser, so that `trace` finds them without one too.
CREATE UNIQUE INDEX events_by_dedupe_key ON events (dedupe_key, advertiser) WHERE dedupe_key IS NOT NULL;
CREATE INDEX events_by_source_event ON events (source_event_id) WHERE source_event_id IS NOT NULL;
CREATE INDEX events_by_conversion ON events (conversion_key) WHERE conversion_key IS NOT NULL;
CREATE INDEX events_by_click ON events (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX events_marked ON events (received_at) WHERE dedupe_key IS NOT NULL;

CREATE TABLE decisions (
    event_id BLOB NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (event_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversions (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, key)
) STRICT;

-- standing: queued, retrying, delivered, dead, purged. attempt: the last settled one of the round.
CREATE TABLE deliveries (
    id BLOB NOT NULL PRIMARY KEY,
    connector TEXT NOT NULL,
    event_id BLOB NOT NULL,
    conversion TEXT,
    standing TEXT NOT NULL,
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT,
    queued_at INTEGER NOT NULL,
    tier TEXT,
    parked_at INTEGER,
    due_at INTEGER,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_event ON deliveries (event_id);
-- What waits is counted from these two alone, whatever has been delivered before.
CREATE INDEX deliveries_queued ON deliveries (connector, queued_at) WHERE standing = 'queued';
CREATE INDEX deliveries_retrying ON deliveries (tier, connector, parked_at, due_at) WHERE standing = 'retrying';

-- outcome: delivered, retry, dead. No method: there was no exchange.
CREATE TABLE attempts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id BLOB NOT NULL,
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    connector TEXT NOT NULL,
    event_id BLOB NOT NULL,
    event_type TEXT NOT NULL,
    at INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    method TEXT,
    url TEXT,
    duration_us INTEGER,
    status INTEGER,
    failure TEXT,
    response TEXT
) STRICT;
CREATE UNIQUE INDEX attempts_by_delivery ON attempts (delivery_id, round, attempt);
CREATE INDEX attempts_by_connector ON attempts (connector, sequence);
CREATE INDEX attempts_by_outcome ON attempts (outcome, sequence);
CREATE INDEX attempts_by_time ON attempts (at);

-- state: dead, replayed, purged. The letters themselves lie apart, so that listing 100,000 reads no body.
CREATE TABLE letters (
    id BLOB NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    connector TEXT,
    event_id BLOB,
    event_type TEXT,
    event_name TEXT,
    delivery_id BLOB,
    round INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    last_status INTEGER,
    at INTEGER NOT NULL,
    queue TEXT NOT NULL,
    response TEXT NOT NULL
) STRICT;
CREATE INDEX letters_by_state ON letters (state, id);
CREATE INDEX letters_by_connector ON letters (state, connector, id);
CREATE INDEX letters_by_reason ON letters (state, reason, id);
CREATE INDEX letters_counted ON letters (state, connector, reason, at);
CREATE INDEX letters_by_delivery ON letters (delivery_id) WHERE delivery_id IS NOT NULL;

CREATE TABLE letter_documents (
    letter_id BLOB NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT;

-- One row that readiness writes: a disk that is full shows before a message is taken.
CREATE TABLE pulse (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);
