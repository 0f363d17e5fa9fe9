-- What was sent, beside where to: the webhook log shows an attempt whole. Both are masked and bounded before
-- they come here, and blanked with the URL.
ALTER TABLE attempts ADD COLUMN request_headers TEXT;
ALTER TABLE attempts ADD COLUMN request_body TEXT;
