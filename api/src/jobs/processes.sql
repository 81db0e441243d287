-- Jobs of other processes than maps, and in which form their result is asked for (JSON).
ALTER TABLE jobs ADD COLUMN process TEXT NOT NULL DEFAULT 'map';
ALTER TABLE jobs ADD COLUMN asked TEXT NOT NULL DEFAULT '{"media_type":null,"document":false,"reference":null}';
