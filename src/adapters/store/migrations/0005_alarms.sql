-- The alarms that people were told of and not yet that they are over.
CREATE TABLE alarms (
    kind    TEXT NOT NULL,
    about   TEXT NOT NULL,
    since   INTEGER NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (kind, about)
) WITHOUT ROWID;
