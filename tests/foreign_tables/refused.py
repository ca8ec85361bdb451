"""What the platform refuses of the tables of this folder, and the word that names the reason."""

REFUSED_READS = {
    "shallow_clone": "shallow clone",
    "variant": "variantType",
    "variant_shredding": "variantShredding",
}
REFUSED_WRITES = {
    "clustered": "clustering",
    "column_mapping_id": "columnMapping",
    "column_mapping_name": "columnMapping",
    "column_mapping_upgraded": "columnMapping",
    "defaults": "allowColumnDefaults",
    "generated": "generatedColumns",
    "iceberg_compat": "icebergCompatV2",
    "identity": "identityColumns",
    "in_commit_timestamps": "inCommitTimestamp",
    "int96_with_deletions_and_mapping": "columnMapping",
    "row_tracking": "rowTracking",
    "type_widening": "typeWidening",
    "vacuum_protocol_check": "vacuumProtocolCheck",
    "variant": "variantType",
    "variant_shredding": "variantType",
}
