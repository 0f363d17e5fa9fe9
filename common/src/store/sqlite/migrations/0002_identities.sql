-- Who is who, what waits for what, and what was paid: the inbound side.

-- Values that are made once, such as the key of the hashes that persons are joined by.
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A person is what browsers (`visitor:…`) and contacts (`contact:…`) are joined to.
CREATE TABLE identities (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    person BLOB NOT NULL,
    PRIMARY KEY (advertiser, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_by_person ON identities (person);

-- E-mails and phone numbers, as keyed hashes, with the persons that they were seen with. Persons that share
-- one are one visitor, as long as they are not too many.
CREATE TABLE marks (
    advertiser TEXT NOT NULL,
    mark TEXT NOT NULL,
    person BLOB NOT NULL,
    PRIMARY KEY (advertiser, mark, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX marks_by_person ON marks (person);

-- Visits that a funnel recorded on its own pages: touches without a click of ours.
CREATE TABLE visits (
    advertiser TEXT NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, id)
) STRICT;
CREATE INDEX visits_by_key ON visits (advertiser, key, at);
CREATE INDEX visits_by_time ON visits (at);

-- Orders, for the events that name nothing else. paid_at: when it was first approved, by its sender's clock.
CREATE TABLE orders (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    buyer TEXT,
    funnel TEXT,
    paid_at INTEGER,
    updated_at INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (advertiser, key)
) STRICT;
CREATE INDEX orders_by_buyer ON orders (advertiser, buyer, funnel, paid_at) WHERE paid_at IS NOT NULL;

-- Click ids of other trackers, under the order, contact, e-mail or phone that an event named them with.
CREATE TABLE foreign_clicks (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    click TEXT NOT NULL,
    PRIMARY KEY (advertiser, key)
) STRICT, WITHOUT ROWID;

-- Events that wait, and the keys that they wait for. Whatever brings a key releases them; their tier is
-- only their timer.
CREATE TABLE parked (
    event_id BLOB NOT NULL PRIMARY KEY,
    parked_at INTEGER NOT NULL,
    intake TEXT NOT NULL
) STRICT;
CREATE TABLE awaited (
    advertiser TEXT NOT NULL,
    key TEXT NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (advertiser, key, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_by_event ON awaited (event_id);

-- Payout rules that pay once per click, and for which conversion they did.
CREATE TABLE payout_claims (
    advertiser TEXT NOT NULL,
    click TEXT NOT NULL,
    offer TEXT NOT NULL,
    rule TEXT NOT NULL,
    conversion_key TEXT NOT NULL,
    PRIMARY KEY (advertiser, click, offer, rule)
) STRICT, WITHOUT ROWID;

-- What `trace` finds events by: orders, contacts, hashes of e-mails and phones, click ids as they were given.
CREATE TABLE subjects (
    subject TEXT NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (subject, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_event ON subjects (event_id);

ALTER TABLE events ADD COLUMN found_by TEXT NOT NULL DEFAULT 'none';
-- The click id as it was given, of ours or not, attributed or not.
ALTER TABLE events ADD COLUMN click_given TEXT;
-- Whether the person was erased: what is left is the ledger.
ALTER TABLE events ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

-- 32 random bytes: without them, nobody can test addresses against the hashes.
INSERT INTO settings (name, value) VALUES ('hash_key', randomblob(32));
