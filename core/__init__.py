"""The platform's shared base: settings, errors, identifiers, time, the metadata database, events and ports."""
