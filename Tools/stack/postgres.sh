# shellcheck shell=bash
# PostgreSQL under $RUN/postgres: loopback, passwords only, as a user that is not root (it refuses root).

postgres_program() { # postgres_program NAME: version 15 where there are several
  local folder
  for folder in /usr/lib/postgresql/15/bin /usr/lib/postgresql/*/bin; do
    [[ ! -x $folder/$1 ]] || { printf '%s/%s' "$folder" "$1"; return; }
  done
  command -v "$1" || fail "PostgreSQL's $1 is missing: run Tools/stack/install.sh"
}

as_user() { # as_user NAME: the words that make the next ones run as that user, by exec, with the same pid
  printf '%s\n' setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups
}

# Data of a stack whose folder is gone, and its passwords with it: nobody can read it any more.
forget_orphan() { # forget_orphan DATA
  local pid
  [[ -d $1 ]] || return 0
  pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) || pid=
  [[ -z $pid ]] || ! kill -0 "$pid" 2>/dev/null ||
    fail "PostgreSQL (pid $pid) still runs on the data of a stack whose folder is gone: end it (kill $pid), and try again"
  say "  PostgreSQL   $1 is of a stack whose folder is gone: removed"
  rm -rf "$1"
}

# Sets POSTGRES_DATA and AS_POSTGRES.
prepare_postgres_home() {
  local away
  POSTGRES_USER=$(id -un)
  AS_POSTGRES=()
  if ((EUID == 0)); then
    POSTGRES_USER=postgres
    # Data that an ordinary user made before stays that user's.
    [[ ! -d $RUN/postgres/ ]] || POSTGRES_USER=$(stat -Lc %U "$RUN/postgres")
    id "$POSTGRES_USER" >/dev/null 2>&1 ||
      fail "there is no user '$POSTGRES_USER' to run PostgreSQL as (it refuses root): run Tools/stack/install.sh"
    mapfile -t AS_POSTGRES < <(as_user "$POSTGRES_USER")
    if [[ ! -e $RUN/postgres ]] && ! "${AS_POSTGRES[@]}" test -x "$RUN"; then
      away=/var/lib/martlet/$(printf '%s' "$RUN" | cksum | cut -d' ' -f1)
      say "  PostgreSQL's user cannot reach $RUN: its data goes to $away"
      forget_orphan "$away/postgres"
      (umask 022 && mkdir -p "$away")
      ln -sfn "$away/postgres" "$RUN/postgres"
    fi
  fi
  POSTGRES_DATA=$(readlink -m "$RUN/postgres")
}

# Made beside its place and moved there when it is whole: an interrupted first start leaves nothing half.
create_cluster() {
  local password new=$POSTGRES_DATA.new status=0
  [[ ! -s $POSTGRES_DATA/PG_VERSION ]] || return 0
  say "  PostgreSQL   creating its data (a few seconds)"
  rm -rf "$new"
  mkdir -p "$new"
  password=$(mktemp)
  secret postgres >"$password"
  chown "$POSTGRES_USER" "$new" "$password"
  (cd / && "${AS_POSTGRES[@]}" "$(postgres_program initdb)" --pgdata="$new" --username=postgres \
    --pwfile="$password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --lc-collate=C) \
    </dev/null >"$RUN/postgres.log" 2>&1 || status=$?
  rm -f "$password"
  if ((status != 0)); then
    rm -rf "$new"
    show_log postgres
    fail "PostgreSQL's data could not be created"
  fi
  mv -T "$new" "$POSTGRES_DATA"
}

start_postgres() {
  local start=$EPOCHREALTIME server old
  prepare_postgres_home
  if running postgres; then
    report PostgreSQL "127.0.0.1:${PORT[postgres]}" "already running"
  else
    server=$(postgres_program postgres)
    settle postgres
    create_cluster
    # A stale lock file whose number another program has now would keep PostgreSQL from starting.
    old=$(head -n 1 "$POSTGRES_DATA/postmaster.pid" 2>/dev/null) || true
    [[ -z $old || $(readlink "/proc/$old/exe" 2>/dev/null) == "$server" ]] || rm -f "$POSTGRES_DATA/postmaster.pid"
    cat deploy/postgres/development.conf >"$POSTGRES_DATA/postgresql.conf"
    (cd / && launch postgres "${AS_POSTGRES[@]}" "$server" -D "$POSTGRES_DATA" -p "${PORT[postgres]}")
    wait_for postgres 60 "$(postgres_program pg_isready)" -q -h 127.0.0.1 -p "${PORT[postgres]}" -U postgres -d postgres
    report PostgreSQL "127.0.0.1:${PORT[postgres]}" "started ($(seconds_since "$start"))"
  fi
  create_roles
}

create_roles() {
  (
    PGPASSWORD=$(secret postgres)
    MARTLET_PASSWORD_MARTLET=$(secret postgres-martlet)
    export PGPASSWORD MARTLET_PASSWORD_MARTLET
    for service in "${SERVICES[@]}"; do
      export "MARTLET_PASSWORD_${service^^}=$(secret "postgres-$service")"
    done
    "$(postgres_program psql)" -X -q -h 127.0.0.1 -p "${PORT[postgres]}" -U postgres -d postgres -f deploy/postgres/roles.sql
  ) </dev/null >"$RUN/state/roles.log" 2>&1 ||
    fail "PostgreSQL's roles and schemas could not be made: $(tail -n 1 "$RUN/state/roles.log")"
}

database_url() { # database_url ROLE
  printf 'postgresql://%s:%s@127.0.0.1:%s/martlet' "$1" "$(secret "postgres-$1")" "${PORT[postgres]}"
}
