-- Schema 7 whole, as PostgreSQL has it. Never edit a migration that was released: add the next number.
--
-- The same tables as SQLite's, so that one SQL serves both: ids are UUIDs as 16 bytes, times milliseconds since
-- 1970, truths 0 or 1, documents the domain's own JSON. `encode(id, 'hex')` shows an id in a form that
-- `carom-worker trace` takes; `to_timestamp(at / 1000.0)` a time. Text compares by its bytes.

CREATE TABLE schema_steps (
    version BIGINT NOT NULL PRIMARY KEY,
    serves BIGINT NOT NULL,
    release TEXT NOT NULL,
    taken_at BIGINT NOT NULL
);

CREATE TABLE resources (
    version BIGINT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    applied_at BIGINT NOT NULL
);

CREATE TABLE clicks (
    id BYTEA NOT NULL PRIMARY KEY,
    advertiser TEXT COLLATE "C" NOT NULL,
    visitor BYTEA NOT NULL,
    at BIGINT NOT NULL,
    touch BIGINT NOT NULL,
    document TEXT NOT NULL,
    blanked BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX clicks_by_visitor ON clicks (advertiser, visitor, at, id) WHERE touch = 1;

CREATE TABLE events (
    id BYTEA NOT NULL PRIMARY KEY,
    advertiser TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    source_event_id TEXT COLLATE "C",
    dedupe_key TEXT COLLATE "C",
    type TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C",
    received_at BIGINT NOT NULL,
    progress TEXT COLLATE "C" NOT NULL,
    click_id BYTEA,
    conversion_key TEXT COLLATE "C",
    document TEXT NOT NULL,
    found_by TEXT COLLATE "C" NOT NULL DEFAULT 'none',
    click_given TEXT COLLATE "C",
    erased BIGINT NOT NULL DEFAULT 0,
    blanked BIGINT NOT NULL DEFAULT 0,
    told BIGINT NOT NULL DEFAULT 1,
    news TEXT
);
CREATE UNIQUE INDEX events_by_dedupe_key ON events (dedupe_key, advertiser) WHERE dedupe_key IS NOT NULL;
CREATE INDEX events_by_source_event ON events USING hash (source_event_id) WHERE source_event_id IS NOT NULL;
CREATE INDEX events_by_conversion ON events (conversion_key) WHERE conversion_key IS NOT NULL;
CREATE INDEX events_by_click ON events (click_id) WHERE click_id IS NOT NULL;
CREATE INDEX events_marked ON events (received_at) WHERE dedupe_key IS NOT NULL;

CREATE TABLE decisions (
    event_id BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL
);

-- No key: two processes may append to one trace at once.
CREATE INDEX decisions_by_event ON decisions (event_id, seq);

CREATE TABLE conversions (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, key)
);

CREATE TABLE deliveries (
    id BYTEA NOT NULL PRIMARY KEY,
    connector TEXT COLLATE "C" NOT NULL,
    event_id BYTEA NOT NULL,
    conversion TEXT,
    standing TEXT COLLATE "C" NOT NULL,
    round BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    reason TEXT COLLATE "C",
    queued_at BIGINT NOT NULL,
    tier TEXT COLLATE "C",
    parked_at BIGINT,
    due_at BIGINT,
    updated_at BIGINT NOT NULL,
    test BIGINT NOT NULL DEFAULT 0,
    matched_click_id TEXT COLLATE "C",
    late_click BYTEA,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE INDEX deliveries_queued ON deliveries (connector, queued_at) WHERE standing = 'queued';
CREATE INDEX deliveries_retrying ON deliveries (tier, connector, parked_at, due_at) WHERE standing = 'retrying';

CREATE TABLE attempts (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id BYTEA NOT NULL,
    round BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    connector TEXT COLLATE "C" NOT NULL,
    event_id BYTEA NOT NULL,
    event_type TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL,
    method TEXT COLLATE "C",
    url TEXT,
    duration_us BIGINT,
    status BIGINT,
    failure TEXT COLLATE "C",
    response TEXT,
    request_headers TEXT,
    request_body TEXT
);
CREATE UNIQUE INDEX attempts_by_delivery ON attempts (delivery_id, round, attempt);
CREATE INDEX attempts_by_connector ON attempts (connector, sequence);
CREATE INDEX attempts_by_outcome ON attempts (outcome, sequence);
CREATE INDEX attempts_by_time ON attempts (at);

CREATE TABLE letters (
    id BYTEA NOT NULL PRIMARY KEY,
    state TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    connector TEXT COLLATE "C",
    event_id BYTEA,
    event_type TEXT COLLATE "C",
    event_name TEXT COLLATE "C",
    delivery_id BYTEA,
    round BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    detail TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    last_status BIGINT,
    at BIGINT NOT NULL,
    queue TEXT COLLATE "C" NOT NULL,
    response TEXT NOT NULL,
    blanked BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX letters_by_state ON letters (state, id);
CREATE INDEX letters_by_connector ON letters (state, connector, id);
CREATE INDEX letters_by_reason ON letters (state, reason, id);
CREATE INDEX letters_counted ON letters (state, connector, reason, at);
CREATE INDEX letters_by_delivery ON letters (delivery_id) WHERE delivery_id IS NOT NULL;

CREATE TABLE letter_documents (
    letter_id BYTEA NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
);

CREATE TABLE pulse (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    at BIGINT NOT NULL
);

CREATE TABLE settings (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE identities (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    person BYTEA NOT NULL,
    PRIMARY KEY (advertiser, key)
);
CREATE INDEX identities_by_person ON identities (person);

CREATE TABLE marks (
    advertiser TEXT COLLATE "C" NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    person BYTEA NOT NULL,
    PRIMARY KEY (advertiser, mark, person)
);
CREATE INDEX marks_by_person ON marks (person);

CREATE TABLE visits (
    advertiser TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, id)
);
CREATE INDEX visits_by_key ON visits (advertiser, key, at);
CREATE INDEX visits_by_time ON visits (at);

CREATE TABLE orders (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    buyer TEXT COLLATE "C",
    funnel TEXT COLLATE "C",
    paid_at BIGINT,
    updated_at BIGINT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, key)
);
CREATE INDEX orders_by_buyer ON orders (advertiser, buyer, funnel, paid_at) WHERE paid_at IS NOT NULL;

CREATE TABLE foreign_clicks (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    click TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (advertiser, key)
);

CREATE TABLE parked (
    event_id BYTEA NOT NULL PRIMARY KEY,
    parked_at BIGINT NOT NULL,
    intake TEXT NOT NULL
);

CREATE TABLE awaited (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    event_id BYTEA NOT NULL,
    PRIMARY KEY (advertiser, key, event_id)
);
CREATE INDEX awaited_by_event ON awaited (event_id);

CREATE TABLE payout_claims (
    advertiser TEXT COLLATE "C" NOT NULL,
    click TEXT COLLATE "C" NOT NULL,
    offer TEXT COLLATE "C" NOT NULL,
    rule TEXT COLLATE "C" NOT NULL,
    conversion_key TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (advertiser, click, offer, rule)
);

CREATE TABLE subjects (
    subject TEXT COLLATE "C" NOT NULL,
    event_id BYTEA NOT NULL,
    PRIMARY KEY (subject, event_id)
);
CREATE INDEX subjects_by_event ON subjects (event_id);

CREATE TABLE cursors (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX events_with_payload ON events (received_at) WHERE blanked = 0;
CREATE INDEX events_told ON events (received_at) WHERE told = 1;
CREATE INDEX clicks_with_details ON clicks (at) WHERE blanked = 0;
CREATE INDEX clicks_no_touch ON clicks (advertiser, visitor) WHERE touch = 0;
CREATE INDEX attempts_with_exchange ON attempts (at) WHERE url <> '' OR response <> '';
CREATE INDEX letters_settled ON letters (at) WHERE state <> 'dead' AND blanked = 0;
CREATE INDEX letters_by_event ON letters (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX parked_by_time ON parked (parked_at);
CREATE INDEX foreign_clicks_by_time ON foreign_clicks (at);
CREATE INDEX orders_of_buyer ON orders (advertiser, buyer) WHERE buyer IS NOT NULL;

CREATE TABLE persons (
    person BYTEA NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
CREATE INDEX persons_by_time ON persons (seen_at);

CREATE TABLE tombstones (
    advertiser TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (advertiser, key)
);
CREATE INDEX tombstones_by_time ON tombstones (at);

CREATE TABLE counted (
    advertiser TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (advertiser, holder, what, key)
);
CREATE INDEX counted_by_time ON counted (at);

CREATE TABLE late (
    click BYTEA NOT NULL,
    event_id BYTEA NOT NULL,
    connectors TEXT COLLATE "C" NOT NULL,
    chosen BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (click, event_id)
);
CREATE INDEX late_by_event ON late (event_id);

CREATE TABLE seen (
    source TEXT COLLATE "C" NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (source, type, name, number)
);

CREATE TABLE pauses (
    connector TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL,
    why TEXT NOT NULL
);

INSERT INTO pulse VALUES (1, 0);

-- 30 random bytes and more: without them, nobody can test addresses against the hashes.
INSERT INTO settings (name, value)
    VALUES ('hash_key', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
