#!/bin/sh
# A backup of PostgreSQL and the pictures, while the service runs: `sh deploy/dump.sh DATABASE PICTURES BACKUPS`.
# DATABASE is a URL without the password, which is read from ~/.pgpass; docs/operations.md tells of both.
set -eu
umask 077
database=$1 pictures=$2 backups=$3
dump=$backups/$(date -u +%Y%m%dT%H%M%SZ).dump

# One folder of pictures serves all dumps: names are made of contents, so nothing in it is ever changed or taken away.
# A picture is written before the row that names it, so those of before and after the dump are all that it names.
copy_pictures() {
    # 24: one was taken down meanwhile. What begins with a dot is being written.
    rsync --archive --ignore-existing --exclude='.*' "$pictures/" "$backups/pictures/" || [ $? -eq 24 ]
}

mkdir -p "$pictures" "$backups/pictures"
trap 'rm -f "$dump.draft"' EXIT
copy_pictures
pg_dump --format=custom --file="$dump.draft" --dbname="$database"
copy_pictures
mv "$dump.draft" "$dump"
echo "$dump"
