#!/bin/bash
# A one-node Ceph cluster with a RADOS gateway: the S3 of the compose file.
#
# One monitor, one OSD and the gateway, in this order, the way the project's own tests
# start them (tests/simulators/radosgw.py).  State lies in one folder and is kept: a
# second start goes on with it.  TERM ends all three, the gateway first.
#
# One node and one copy: a disk that dies takes the recordings along.  This is for
# trying things out and for small sites with a backup; a cluster has three nodes.
#
#   S3_FOLDER       where everything lies            /var/lib/s3
#   S3_LISTEN       address:port of the gateway      0.0.0.0:8000
#   S3_MON_PORT     port of the monitor, loopback    6789
#   S3_STORE        bluestore, or memstore           bluestore
#   S3_SIZE_BYTES   room for objects, thin on disk   107374182400 (100 GiB)
#   S3_ACCESS_KEY_FILE, S3_SECRET_KEY_FILE           required
set -euo pipefail

folder=${S3_FOLDER:-/var/lib/s3}
listen=${S3_LISTEN:-0.0.0.0:8000}
mon_port=${S3_MON_PORT:-6789}
store=${S3_STORE:-bluestore}
size=${S3_SIZE_BYTES:-107374182400}
access_key=$(tr -d '\r\n' <"${S3_ACCESS_KEY_FILE:?names no file}")
secret_key=$(tr -d '\r\n' <"${S3_SECRET_KEY_FILE:?names no file}")
conf=$folder/ceph.conf
export CEPH_CONF=$conf

say() { echo "s3: $*" >&2; }

# Polls a command until it succeeds: 120 s, then the start has failed.
until_true() {
  local what=$1
  shift
  for _ in $(seq 600); do
    if "$@"; then return 0; fi
    for pid in "${pids[@]}"; do
      kill -0 "$pid" 2>/dev/null || { say "a daemon ended while waiting for $what"; return 1; }
    done
    sleep 0.2
  done
  say "$what did not come up"
  return 1
}

mon_is_up() { timeout 10 ceph -c "$conf" -s 2>/dev/null | grep -q 'mon: 1 daemons'; }
osd_is_up() { timeout 10 ceph -c "$conf" osd stat 2>/dev/null | grep -q '1 up'; }
gateway_answers() {
  local port=${listen##*:}
  (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && head -c 12 <&3) \
    2>/dev/null | grep -q ' 200'
}

write_conf() {
  umask 077
  mkdir -p "$folder"/{mon,osd0,run,log}
  cat >"$conf.new" <<CONF
[global]
fsid = $(cat "$folder/fsid")
mon_host = v1:127.0.0.1:$mon_port
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
# The daemons talk over loopback and nowhere else.
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
ms_bind_msgr2 = false
run_dir = $folder/run
admin_socket = $folder/run/\$name.asok
pid_file = $folder/run/\$name.pid
log_file = $folder/log/\$name.log
mon_data = $folder/mon
osd_data = $folder/osd0
osd_objectstore = $store
memstore_device_bytes = $size
bluestore_block_size = $size
bluestore_fsck_on_mount = false
osd_memory_target = 939524096
rgw_frontends = beast endpoint=$listen
rgw_run_sync_thread = false
rgw_enable_usage_log = false
debug_ms = 0
CONF
  mv "$conf.new" "$conf"
}

pids=()
start() {
  "$@" -f -c "$conf" >>"$folder/log/$1.out" 2>&1 &
  pids+=($!)
}

# The newest first: the gateway lets go of the OSD before the OSD ends.
stop() {
  trap '' TERM INT
  local index
  for ((index = ${#pids[@]} - 1; index >= 0; index--)); do
    kill -TERM "${pids[index]}" 2>/dev/null || true
    for _ in $(seq 100); do
      kill -0 "${pids[index]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "${pids[index]}" 2>/dev/null || true
  done
  wait
}
trap 'stop; exit 0' TERM INT
trap stop EXIT

mkdir -p "$folder"
first=no
if [ ! -s "$folder/made" ]; then
  # Nothing that was begun and not finished is built upon.
  rm -rf "$folder"/{mon,osd0,run,log,monmap,osd.uuid}
  first=yes
  cat /proc/sys/kernel/random/uuid >"$folder/fsid"
fi
rm -rf "${folder:?}/run"
write_conf

if [ $first = yes ]; then
  say "making a cluster in $folder"
  monmaptool --create --addv a "v1:127.0.0.1:$mon_port" --fsid "$(cat "$folder/fsid")" "$folder/monmap" >/dev/null
  ceph-mon --mkfs -i a --monmap "$folder/monmap" -c "$conf"
fi
start ceph-mon -i a
until_true "the monitor" mon_is_up
if [ $first = yes ]; then
  cat /proc/sys/kernel/random/uuid >"$folder/osd.uuid"
  ceph -c "$conf" osd new "$(cat "$folder/osd.uuid")" >/dev/null
  ceph-osd -i 0 --mkfs --osd-uuid "$(cat "$folder/osd.uuid")" -c "$conf" >>"$folder/log/mkfs.out" 2>&1
fi
start ceph-osd -i 0
until_true "the OSD" osd_is_up
start radosgw -n client.rgw.a
until_true "the gateway" gateway_answers
if [ $first = yes ]; then
  radosgw-admin -c "$conf" user create --uid=callvault --display-name=callvault \
    --access-key="$access_key" --secret-key="$secret_key" >/dev/null
  echo yes >"$folder/made"
fi
say "ready on $listen"
# Whichever ends first, all end: the container is restarted as a whole.
wait -n "${pids[@]}" || true
say "a daemon ended"
exit 1
