-- Rises with each write that only tries whether writing works.
INSERT INTO counters (name, value) VALUES ('tried_writing', 0);
