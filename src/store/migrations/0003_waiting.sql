-- Events that could not be decided (parked, failed), found without reading the journal. The byte behind a record's version is its
-- outcome: 3 parked, 4 failed (the order of the outcomes in the program, which only ever grows at its end).
CREATE INDEX event_waiting ON event (seq) WHERE substr(record, 2, 1) IN (x'03', x'04');
