-- One decision about many connectors: in which version of the resources they stand, by which of its conditions each of
-- them failed, and their places among the advertiser's, as bits.
ALTER TABLE decisions ADD COLUMN resources INTEGER;
ALTER TABLE decisions ADD COLUMN condition INTEGER;
ALTER TABLE decisions ADD COLUMN connectors BLOB;
