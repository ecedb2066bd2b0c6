#!/bin/sh
# usage: unshare -rn proxied.sh PROXY DEVICE FOLDER ACTION...
# Runs one qmicli for each ACTION at once through a real qmi-proxy that only this network namespace sees; what the N-th
# prints is left in FOLDER/N.out and FOLDER/N.err, its exit status in FOLDER/N.status.
set -u
proxy=$1 device=$2 folder=$3
shift 3
"$proxy" --no-exit &
proxy_pid=$!
tries=0
until grep -q '@qmi-proxy' /proc/net/unix; do
    tries=$((tries + 1))
    [ "$tries" -le 500 ] || { echo "qmi-proxy does not listen" >&2; kill "$proxy_pid"; exit 2; }
    sleep 0.01
done
number=0
clients=
for action in "$@"; do
    number=$((number + 1))
    (
        qmicli -p -d "$device" --device-open-qmi --verbose-full "$action" >"$folder/$number.out" 2>"$folder/$number.err"
        echo $? >"$folder/$number.status"
    ) &
    clients="$clients $!"
done
# shellcheck disable=SC2086
wait $clients
kill "$proxy_pid"
wait "$proxy_pid" 2>/dev/null
exit 0
