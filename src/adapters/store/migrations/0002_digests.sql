-- Who stands behind a digest in the line of its key, the digest having taken its members' place there.
CREATE TABLE digest_waits (
    digest INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (digest, seq)
) WITHOUT ROWID;
