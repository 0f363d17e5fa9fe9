-- What is kept for how long, and who was erased.

-- blanked: the details are gone and the row stays. told: its decisions are still there. What is left to do
-- is found by indexes that hold nothing else.
ALTER TABLE events ADD COLUMN blanked INTEGER NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
CREATE INDEX events_with_payload ON events (received_at) WHERE blanked = 0;
CREATE INDEX events_told ON events (received_at) WHERE told = 1;

ALTER TABLE clicks ADD COLUMN blanked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clicks_with_details ON clicks (at) WHERE blanked = 0;
-- clicks_by_visitor has the touches; these are the others.
CREATE INDEX clicks_no_touch ON clicks (advertiser, visitor) WHERE touch = 0;

CREATE INDEX attempts_with_exchange ON attempts (at) WHERE url <> '' OR response <> '';

ALTER TABLE letters ADD COLUMN blanked INTEGER NOT NULL DEFAULT 0;
CREATE INDEX letters_settled ON letters (at) WHERE state <> 'dead' AND blanked = 0;
CREATE INDEX letters_by_event ON letters (event_id) WHERE event_id IS NOT NULL;

CREATE INDEX parked_by_time ON parked (parked_at);
CREATE INDEX foreign_clicks_by_time ON foreign_clicks (at);
CREATE INDEX orders_of_buyer ON orders (advertiser, buyer) WHERE buyer IS NOT NULL;

-- When a person was last seen, by our clock. Who is known already was last seen now.
CREATE TABLE persons (
    person BLOB NOT NULL PRIMARY KEY,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX persons_by_time ON persons (seen_at);
INSERT INTO persons
    SELECT person, CAST(strftime('%s', 'now') AS INTEGER) * 1000
    FROM (SELECT person FROM identities UNION SELECT person FROM marks);

-- Who was erased, by contact key or keyed hash, and when. What happened before that and comes later is
-- nobody's.
CREATE TABLE tombstones (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (advertiser, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_by_time ON tombstones (at);
