-- One decision about many connectors: in which version of the resources they stand, by which of its conditions each of
-- them failed, and their places among the advertiser's, as bits.
ALTER TABLE decisions ADD COLUMN resources BIGINT;
ALTER TABLE decisions ADD COLUMN condition BIGINT;
ALTER TABLE decisions ADD COLUMN connectors BYTEA;
