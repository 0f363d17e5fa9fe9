-- Connectors that nothing is taken for until somebody resumes them, since when and why. It is no part of the
-- resources: applying a file again neither pauses nor resumes.
CREATE TABLE pauses (
    connector TEXT NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
