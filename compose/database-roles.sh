#!/bin/sh
# Run once by PostgreSQL's image, when the database is new: two roles, so that the service cannot change its own schema.

set -eu

psql --set=ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set migrate `cat /run/secrets/database/migrate_password`
\set service `cat /run/secrets/database/service_password`

CREATE ROLE belvedere_migrate LOGIN PASSWORD :'migrate';
CREATE ROLE belvedere LOGIN PASSWORD :'service';

CREATE DATABASE belvedere OWNER belvedere_migrate;
REVOKE ALL ON DATABASE belvedere FROM PUBLIC;
GRANT CONNECT ON DATABASE belvedere TO belvedere;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;

\connect belvedere
-- Whoever owns the database owns this schema too, and may create tables in it. The service uses them.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO belvedere;
ALTER DEFAULT PRIVILEGES FOR ROLE belvedere_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO belvedere;
ALTER DEFAULT PRIVILEGES FOR ROLE belvedere_migrate IN SCHEMA public GRANT USAGE ON SEQUENCES TO belvedere;
SQL
