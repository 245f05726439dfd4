-- For devices with a protocol of their own: {topic, payload, answerTopic?, answerFilter?, answers}, filled in when the command
-- was made.
ALTER TABLE command ADD COLUMN own jsonb;
ALTER TABLE command ALTER COLUMN own SET STATISTICS 0;

-- Where its device answers; null for the native protocol, where an answer has the command's id.
ALTER TABLE open_command ADD COLUMN answer_topic text;
CREATE INDEX open_command_answer ON open_command (answer_topic, seq) WHERE answer_topic IS NOT NULL;

-- Whose a topic of a device's own is: the first organisation's that had a command for it, while that device is there.
CREATE TABLE own_topic (
  topic           text PRIMARY KEY,
  organisation_id uuid NOT NULL,
  device_record   uuid NOT NULL
);
CREATE INDEX own_topic_device ON own_topic (device_record);
