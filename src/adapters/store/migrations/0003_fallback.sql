-- Whom a row was meant for that another receiver took over, as a name's number.
ALTER TABLE outbox ADD COLUMN fallback_of INTEGER;

-- What a message says besides its entries, as JSON, so that it can be rendered for another receiver.
ALTER TABLE messages ADD COLUMN told TEXT;
