-- Whether devices of other organisations use a board: two ranges, however many devices its own organisation has.
CREATE INDEX device_of_board_organisation ON device (board_id, organisation_id);
CREATE INDEX device_of_network_organisation ON device (network_id, organisation_id) WHERE network_id IS NOT NULL;
