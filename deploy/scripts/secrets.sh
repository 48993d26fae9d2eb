#!/bin/sh
# Makes the passwords that are not there yet and gives every file to the one user that reads it, mode 0600.
# Runs as the service `secrets` before everything else, on every `up`.
set -eu

app=65532 # the user of the image mailqueue
umask 077
mkdir -p /secrets/db /secrets/app

random() { od -An -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# make FILE TEXT: written beside and moved, so that no reader and no crash meets half a file.
make() {
    [ ! -s "$1" ] || return 0
    printf '%s\n' "$2" >"$1.new"
    mv "$1.new" "$1"
    echo "made deploy$1"
}

if [ ! -s /secrets/db/mailqueue_password ] && ls /var/lib/postgresql/*/docker/PG_VERSION >/dev/null 2>&1; then
    echo "deploy/secrets/db/mailqueue_password is missing, but the database has been made with one: put the file back." >&2
    echo "If it is lost for good, see 'A lost password' in deploy/README.md." >&2
    exit 78
fi
make /secrets/db/postgres_password "$(random)"
make /secrets/db/mailqueue_password "$(random)"
make /secrets/app/database_url "postgres://mailqueue:$(cat /secrets/db/mailqueue_password)@db:5432/email_sender"

chown -R postgres:postgres /secrets/db
chown -R "$app:$app" /secrets/app
chmod 700 /secrets/db /secrets/app
find /secrets -type f -exec chmod 600 {} +
