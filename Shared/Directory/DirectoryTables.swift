import Postgres

/// The tables of a service's own copy of the registry.
public enum DirectoryTables {
  /// A migration set of its own: every service that keeps a copy has the same tables.
  public static let migrations = [
    PostgresMigration(
      name: "V0001_directory",
      sql: """
        CREATE TABLE directory_organisation (
          id   uuid PRIMARY KEY,
          slug text NOT NULL,
          rev  bigint NOT NULL
        );
        CREATE TABLE directory_api_key (
          id              uuid PRIMARY KEY,
          hash            text NOT NULL,
          organisation_id uuid NOT NULL,
          name            text NOT NULL,
          role            text NOT NULL,
          expires_at      timestamptz,
          rev             bigint NOT NULL
        );
        CREATE INDEX directory_api_key_hash ON directory_api_key (hash);
        CREATE TABLE directory_board (
          id              uuid PRIMARY KEY,
          organisation_id uuid NOT NULL,
          document        jsonb NOT NULL,
          rev             bigint NOT NULL
        );
        CREATE TABLE directory_device (
          id              uuid PRIMARY KEY,
          device_id       text NOT NULL,
          mcu_id          text NOT NULL,
          soc             text NOT NULL,
          board_id        uuid NOT NULL,
          organisation_id uuid NOT NULL,
          rev             bigint NOT NULL
        );
        CREATE INDEX directory_device_device_id ON directory_device (device_id);
        CREATE INDEX directory_device_mcu_id ON directory_device (mcu_id);
        """),
    PostgresMigration(
      name: "V0002_deletion",
      sql: """
        CREATE TABLE directory_deletion (
          kind      text NOT NULL,
          id        uuid NOT NULL,
          rev       bigint NOT NULL,
          device_id text,
          at        timestamptz NOT NULL DEFAULT now(),
          look_at   timestamptz,
          PRIMARY KEY (kind, id)
        );
        COMMENT ON TABLE directory_deletion IS
          'What is no more, and with which revision it ended: an older record that comes late revives nothing.';
        COMMENT ON COLUMN directory_deletion.look_at IS
          'Of a device: when to clean up after it; null when that is done.';
        CREATE INDEX directory_deletion_look ON directory_deletion (look_at) WHERE look_at IS NOT NULL;
        """),
    PostgresMigration(
      name: "V0003_groups_components",
      sql: """
        ALTER TABLE directory_device
          ADD COLUMN network_id uuid,
          ADD COLUMN group_ids  uuid[] NOT NULL DEFAULT '{}',
          ADD COLUMN components jsonb NOT NULL DEFAULT '[]';
        COMMENT ON COLUMN directory_device.components IS '[{id, key, sensorProfileId}]';
        CREATE TABLE directory_sensor_profile (
          id              uuid PRIMARY KEY,
          organisation_id uuid NOT NULL,
          document        jsonb NOT NULL,
          rev             bigint NOT NULL
        );
        CREATE TABLE directory_group (
          id              uuid PRIMARY KEY,
          organisation_id uuid NOT NULL,
          name            text NOT NULL,
          rev             bigint NOT NULL
        );
        """),
    PostgresMigration(
      name: "V0004_targets",
      sql: """
        CREATE INDEX directory_device_board ON directory_device (board_id);
        CREATE INDEX directory_device_groups ON directory_device USING gin (group_ids);
        CREATE INDEX directory_device_components ON directory_device USING gin (components jsonb_path_ops);
        """),
    PostgresMigration(
      name: "V0006_devices_of_organisation",
      sql: """
        CREATE INDEX directory_device_organisation ON directory_device (organisation_id, board_id);
        """),
  ]
}
