-- What browsers report of the pixels that they were given. The event may come later than the report.
CREATE TABLE pixel_reports (
    event_id BLOB NOT NULL,
    delivery_id BLOB NOT NULL,
    outcome TEXT NOT NULL,
    connector TEXT NOT NULL,
    source TEXT NOT NULL,
    at INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (event_id, source, delivery_id, outcome)
) STRICT, WITHOUT ROWID;
CREATE INDEX pixel_reports_by_time ON pixel_reports (at);

-- Pixels stand among the attempts as attempt 0, and may be all that there is of an event.
CREATE INDEX attempts_of_pixels ON attempts (event_id) WHERE attempt = 0;
