-- What events were decided from, so that it can be asked again: by what follows a sale, by a click that comes
-- late, and by connectors that are only being tried.

-- The touches and counts that it was decided from, and the steps that it told. Touches stand here by their
-- ids only.
ALTER TABLE events ADD COLUMN news TEXT;

-- test: selected in Test mode. late_click: selected after its event was decided, for this click.
ALTER TABLE deliveries ADD COLUMN test INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN matched_click_id TEXT;
ALTER TABLE deliveries ADD COLUMN late_click BLOB;

-- Approved conversions and named events of visitors, each once per holder: the contact, browser, e-mail or
-- phone number that it came with. Holders that are one visitor are found by identities and marks, so that
-- nothing changes here when persons turn out to be one.
CREATE TABLE counted (
    advertiser TEXT NOT NULL,
    holder TEXT NOT NULL,
    what TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (advertiser, holder, what, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX counted_by_time ON counted (at);

-- Events that were decided without the click that they name, and connectors that were skipped only for the
-- want of it. chosen: they were decided again with it, and may not all be on their queues yet.
CREATE TABLE late (
    click BLOB NOT NULL,
    event_id BLOB NOT NULL,
    connectors TEXT NOT NULL,
    chosen INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (click, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX late_by_event ON late (event_id);

-- What each source has received. No name: ''. No number: 0.
CREATE TABLE seen (
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (source, type, name, number)
) STRICT, WITHOUT ROWID;
