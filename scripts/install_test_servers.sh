#!/bin/sh
# Install the programs the tests run against, those that are missing: PostgreSQL, MariaDB, OpenSSH's
# sshd, Chromium, Node, curl.
# Uses apt as root or with sudo; elsewhere it says what to install. What exists is left alone.
set -eu

has_postgres() {
    command -v postgres >/dev/null 2>&1 && return 0
    for program in /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres /opt/homebrew/opt/postgresql*/bin/postgres \
        /usr/local/opt/postgresql*/bin/postgres /Applications/Postgres.app/Contents/Versions/*/bin/postgres; do
        [ -x "$program" ] && return 0
    done
    return 1
}

has_chromium() {
    command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 ||
        command -v google-chrome >/dev/null 2>&1 || [ -d "/Applications/Google Chrome.app" ] ||
        [ -d "/Applications/Chromium.app" ]
}

has_mariadb() {
    command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || [ -x /opt/homebrew/opt/mariadb/bin/mariadbd ] ||
        [ -x /usr/local/opt/mariadb/bin/mariadbd ]
}

missing=""
has_postgres || missing="$missing postgresql"
has_mariadb || missing="$missing mariadb-server"
[ -x /usr/sbin/sshd ] || missing="$missing openssh-server"
has_chromium || missing="$missing chromium"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    if [ "$(uname)" = Darwin ]; then
        echo "The tests need more programs: brew install postgresql@17 mariadb node curl; brew install --cask chromium" >&2
    else
        echo "The tests need more programs, please install:$missing" >&2
    fi
    exit 1
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "The tests need$missing; run as root: apt-get install$missing" >&2; exit 1; }
    as_root="sudo"
fi

echo "Installing for the tests:$missing"
# The tests start servers of their own: no cluster is to be made and no service started by the packages.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    $as_root mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" | $as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold"
$apt update
# shellcheck disable=SC2086
$apt install --yes --no-install-recommends $missing >/dev/null
