-- Nodes that were found to be at fault, which are avoided until `until`; `times` counts how often.
CREATE TABLE node (
    site text NOT NULL,
    hostname text NOT NULL,
    cluster text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (site, hostname)
);
