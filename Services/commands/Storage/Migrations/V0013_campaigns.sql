-- Campaigns: one request for the commands of many devices.
CREATE TABLE campaign (
  id              uuid PRIMARY KEY,
  seq             bigint GENERATED ALWAYS AS IDENTITY,
  organisation_id uuid NOT NULL,
  status          text NOT NULL CHECK (status IN ('RUNNING', 'DONE', 'CANCELLED')),
  -- Only looked at, shown nowhere, and gone soon.
  is_dry          boolean NOT NULL,
  target          jsonb NOT NULL,
  -- What each command is made of, digit for digit as the client wrote it.
  request         bytea NOT NULL,
  rate_per_minute integer,
  -- Names of the request that are nobody's.
  unknown         jsonb NOT NULL,
  retry_of        uuid,
  -- Why it was cancelled, if nobody asked for that.
  reason          text,
  traceparent     text,
  created_at      timestamptz NOT NULL,
  created_by      text NOT NULL,
  cancelled_by    text,
  finished_at     timestamptz,
  -- How many devices it has, and for how many of these there is a command: those with a number up to that.
  total           bigint NOT NULL DEFAULT 0,
  made            bigint NOT NULL DEFAULT 0,
  -- Which page of the registry's answer comes next; null once all devices are known.
  next_page       integer,
  -- Until when the rate is used up.
  paid_until      timestamptz,
  -- How far it has been cancelled; null where nothing is to be cancelled.
  cancelled_to    text,
  -- Up to which device no command is open.
  looked_to       text NOT NULL DEFAULT '',
  -- The counts, once they do not change any more.
  counts          jsonb,
  rev             bigint NOT NULL DEFAULT 1,
  -- When there is something to do for it; null when all is done.
  run_at          timestamptz
) WITH (fillfactor = 50);
CREATE INDEX campaign_organisation ON campaign (organisation_id, seq);
CREATE INDEX campaign_run ON campaign (run_at) WHERE run_at IS NOT NULL;

-- Its devices, numbered from 1, each once. Never written again, and gone when the campaign is over.
CREATE TABLE campaign_device (
  campaign_id uuid NOT NULL,
  number      bigint NOT NULL,
  -- The record id; null for one that was gone before.
  device      uuid,
  device_id   text NOT NULL,
  -- The command that is made once more.
  retry_of    uuid,
  PRIMARY KEY (campaign_id, number),
  UNIQUE (campaign_id, device_id)
);

-- Commands of campaigns that were deleted: they still count as what they were.
CREATE TABLE campaign_gone (
  campaign_id uuid NOT NULL,
  outcome     text NOT NULL,
  number      bigint NOT NULL
);
CREATE INDEX campaign_gone_campaign ON campaign_gone (campaign_id);

-- Each device has one command of a campaign.
ALTER TABLE command ADD COLUMN bulk_id uuid;
CREATE UNIQUE INDEX command_bulk_device ON command (bulk_id, device_id) WHERE bulk_id IS NOT NULL;
CREATE INDEX command_bulk ON command (bulk_id, seq) WHERE bulk_id IS NOT NULL;
