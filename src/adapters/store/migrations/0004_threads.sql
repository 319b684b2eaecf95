-- The id of the message that told of its incident first, of a message that is not that one.
ALTER TABLE messages ADD COLUMN follows BLOB;
CREATE INDEX messages_follows ON messages (follows) WHERE follows IS NOT NULL;
