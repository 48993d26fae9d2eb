#!/bin/sh
# The role that owns email_sender and is no superuser, with the password from its file. Runs by itself on the database's
# first start; run again it sets the password anew.
set -eu

psql -v ON_ERROR_STOP=1 --no-password -qU postgres -d email_sender <<'SQL'
\set password `cat /run/secrets/mailqueue_password`
SELECT 'CREATE ROLE mailqueue LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mailqueue') \gexec
ALTER ROLE mailqueue PASSWORD :'password';
ALTER DATABASE email_sender OWNER TO mailqueue;
ALTER SCHEMA public OWNER TO mailqueue;
REVOKE CONNECT ON DATABASE email_sender FROM PUBLIC;
SQL
