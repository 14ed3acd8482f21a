-- Whether the market at arrival was an honest one: when the quote was taken, and what kind of data it was. NULL where
-- nobody told, as in all that was recorded before.

ALTER TABLE facts ADD COLUMN quoted_at TIMESTAMPTZ;
ALTER TABLE facts ADD COLUMN data_type INTEGER;
ALTER TABLE recorded_quotes ADD COLUMN data_type INTEGER;
