-- What browsers report of the pixels that they were given. The event may come later than the report.
CREATE TABLE pixel_reports (
    event_id BYTEA NOT NULL,
    delivery_id BYTEA NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    connector TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (event_id, source, delivery_id, outcome)
);
CREATE INDEX pixel_reports_by_time ON pixel_reports (at);

-- Pixels stand among the attempts as attempt 0, and may be all that there is of an event.
CREATE INDEX attempts_of_pixels ON attempts (event_id) WHERE attempt = 0;
