#!/usr/bin/env bash
# Does Pointsman stay small? Resident memory and descriptors, idle and after a million requests.
#
#   tests/real/soak.sh [--requests N] [--idle-max MB]
#   POINTSMAN=PATH tests/real/soak.sh      PATH: target/release/pointsman if not said, built if need be
#
# Two workers, two nginx origins, wrk with 64 connections. Fails when an idle Pointsman takes 20 MB
# or more, when it has grown by 2 MB or more after N requests that follow a tenth of them to warm up,
# when a descriptor stays behind, and when a single request fails. A debug build carries its symbols
# and needs a higher --idle-max.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null
export PATH=$PATH:/usr/sbin:/sbin

requests=1000000
idle_max=20
while (($#)); do
    case $1 in
    --requests) requests=$2; shift 2 ;;
    --idle-max) idle_max=$2; shift 2 ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
growth_max=2
connections=64

work=$(mktemp -d "${TMPDIR:-/tmp}/pointsman-soak.XXXXXX")
chmod 755 "$work" # nginx's worker may be another user
pids=()
finish() {
    local code=$? pid
    trap - EXIT
    for pid in "${pids[@]}"; do
        kill -INT "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    ((code == 0)) || tail -n 20 "$work"/*.log >&2 || true
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}
for tool in nginx wrk curl python3; do
    command -v "$tool" >/dev/null || fail "$tool is missing"
done
if [[ -z ${POINTSMAN:-} ]]; then
    cargo build --release --locked --quiet
    POINTSMAN=target/release/pointsman
fi
[[ -x $POINTSMAN ]] || fail "no program at $POINTSMAN"

read -r primary canary < <(python3 - <<'PY'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in held))
PY
)
cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy;
  fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
  server { listen 127.0.0.1:$primary; location / { return 200 'primary\n'; } }
  server { listen 127.0.0.1:$canary; location / { return 200 'canary\n'; } }
}
CONF
nginx -p "$work" -c "$work/nginx.conf" -e "$work/nginx.log" >"$work/nginx-out.log" 2>&1 &
pids+=($!)
# Idle connections to the origins are given up soon, so that what is left behind is seen.
cat >"$work/pointsman.yaml" <<CONF
apiVersion: pointsman.dev/v1
listeners: [{name: web, address: "127.0.0.1:0"}]
control: {address: "127.0.0.1:0"}
routes:
  - name: podinfo
    rules:
      - name: everyone
        split: [{backend: primary, weight: 90}, {backend: canary, weight: 10}]
backends:
  - {name: primary, endpoints: ["127.0.0.1:$primary"], timeouts: {idle: 1s}}
  - {name: canary, endpoints: ["127.0.0.1:$canary"], timeouts: {idle: 1s}}
CONF
"$POINTSMAN" run -c "$work/pointsman.yaml" --workers 2 --state-dir "$work/state" \
    >"$work/pointsman.log" 2>&1 &
pointsman=$!
pids+=("$pointsman")

logged() { grep -o "$1 at http://[0-9.:]*" "$work/pointsman.log" | grep -o 'http.*'; }
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}
until_true 15 logged "control API is" || fail "Pointsman does not start"
web=$(logged "requests are taken") api=$(logged "control API is")
until_true 15 curl -fsS "$api/readyz" || fail "Pointsman does not get ready"
until_true 15 curl -fsS "$web/" || fail "no answer from the origins"

rss() { awk '/^VmRSS/ {print $2}' "/proc/$pointsman/status"; }
descriptors() { find "/proc/$pointsman/fd" -mindepth 1 | wc -l; }
answered() {
    curl -fsS "$api/metrics" |
        awk '/^pointsman_requests_total\{/ && /code="(200|2xx)"/ {n += $NF} END {printf "%d\n", n}'
}
megabytes() { awk -v kb="$1" 'BEGIN {printf "%.1f MB", kb / 1024}'; }
is_quiet() { (($(descriptors) <= idle_descriptors)); }
quiet() { until_true 20 is_quiet || fail "$(descriptors) descriptors are open, $idle_descriptors were before"; }
# Asks until so many more requests are answered.
ask() {
    local wanted=$(($(answered) + $1)) seconds=2 now most=$((idle_descriptors + 4 * connections))
    while now=$(answered) && ((now < wanted)); do
        wrk -t 2 -c "$connections" -d "${seconds}s" "$web/" >"$work/wrk.log" 2>&1 &
        local load=$!
        sleep 1
        (($(descriptors) <= most)) || fail "$(descriptors) descriptors for $connections connections"
        wait "$load" || fail "wrk failed"
        ! grep -E 'Socket errors|Non-2xx' "$work/wrk.log" || fail "requests failed"
        seconds=5
    done
}

# The connection that asked whether all is up is given up first.
upstream_is_idle() { [[ $(curl -fsS "$api/metrics" | awk '/^pointsman_upstream_connections\{/ {n += $NF} END {print n + 0}') == 0 ]]; }
until_true 20 upstream_is_idle || fail "idle connections to the origins are kept for ever"
idle=$(rss)
idle_descriptors=$(descriptors)
printf 'idle, two workers: %s, %d descriptors\n' "$(megabytes "$idle")" "$idle_descriptors"
((idle < idle_max * 1024)) || fail "an idle Pointsman takes $(megabytes "$idle"), at most $idle_max MB are allowed"

ask $((requests / 10))
quiet
warm=$(rss) first=$(answered)
printf 'after %d requests to warm up: %s, %d descriptors\n' "$first" "$(megabytes "$warm")" "$(descriptors)"

ask "$requests"
quiet
grown=$(rss)
printf 'after %d more: %s, %d descriptors\n' "$(($(answered) - first))" "$(megabytes "$grown")" "$(descriptors)"
((grown - warm < growth_max * 1024)) || fail "grown by $(megabytes $((grown - warm)))"
