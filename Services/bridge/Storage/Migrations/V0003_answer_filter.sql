-- What the session `status` subscribes to beside the native topics: where devices with protocols of their own answer.
CREATE TABLE answer_filter (
  filter     text PRIMARY KEY,
  -- Whether the session has been subscribed to it since: it is durable, so it hears it from then on.
  subscribed boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO answer_filter (filter) VALUES ('iotee/dev/+/ack');
