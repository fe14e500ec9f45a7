#!/bin/sh
# Replaces the vendored Swagger UI and ReDoc by the newest release, or by the ones named:
#   api/static/vendor/refresh.sh [swagger-ui-dist@VERSION] [redoc@VERSION]
# Needs npm, which asks the registry it is configured for. Then run tests/api/test_pages.py and tests/browser.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# vendor PACKAGE[@VERSION] FILE...: unpack into NAME-VERSION/ with only these files.
vendor() {
    name=${1%%@*}
    tarball=$(npm pack --silent --pack-destination "$work" "$1")
    shift
    tar -xzf "$work/$tarball" -C "$work"
    rm -rf "./$name"-*
    target=${tarball%.tgz}
    mkdir "$target"
    for file in "$@"; do cp "$work/package/$file" "$target/"; done
    chmod 644 "$target"/*
    notes="# $name ${target#"$name"-} from npm; tarball sha256 $(sha256sum "$work/$tarball" | cut -d' ' -f1)"
    rm -r "$work/package"
}

# seal: write VERSION, which `sha256sum -c VERSION` and the tests check.
seal() {
    sums=$(cd "$target" && sha256sum -- *)
    printf '%s\n%s\n%s\n' "$notes" "# refresh: api/static/vendor/refresh.sh" "$sums" >"$target/VERSION"
}

vendor "${1:-swagger-ui-dist@latest}" swagger-ui-bundle.js swagger-ui-bundle.js.LICENSE.txt swagger-ui.css LICENSE NOTICE
seal

vendor "${2:-redoc@latest}" bundles/redoc.standalone.js LICENSE
# Its footer loads a logo from another host: the same word, drawn on the spot, takes the logo's place.
logo='<svg xmlns="http://www.w3.org/2000/svg" width="46" height="14"><text y="11" font-family="sans-serif" font-size="11" fill="#4f7df3">Redocly</text></svg>'
uri="data:image/svg+xml;base64,$(printf %s "$logo" | base64 | tr -d '\n')"
notes="$notes
# changed by us: https://cdn.redoc.ly/redoc/logo-mini*.svg became a data: address; nothing else"
sed "s|https://cdn\.redoc\.ly/redoc/logo-mini[a-z-]*\.svg|$uri|g" "$target/redoc.standalone.js" >"$work/redoc.js"
cp "$work/redoc.js" "$target/redoc.standalone.js"
seal
