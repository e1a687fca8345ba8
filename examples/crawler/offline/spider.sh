# Takes items from a Redis list, one every few seconds, until told to stop.

host=${REDIS_HOST:-127.0.0.1}
port=${REDIS_PORT:-6379}
pause=${PAUSE:-2}
name="$(hostname)/${VERSION:-?}"
stop=

# One exchange with Redis in its inline form; prints the last value it gave.
ask() {
    {
        [ -z "$REDIS_PASSWORD" ] || printf 'AUTH %s\r\n' "$REDIS_PASSWORD"
        printf '%s\r\nQUIT\r\n' "$1"
    } | nc "$host" "$port" | tr -d '\r' | sed -n 's/^\(item.*\)$/\1/p'
}

trap 'stop=1' TERM INT
echo "$name starts"
while [ -z "$stop" ]; do
    item=$(ask "LPOP todo")
    if [ -n "$item" ]; then
        echo "$name works on $item"
        ask "RPUSH done $item"
    fi
    # In the background, so that a signal is heeded at once.
    sleep "$pause" &
    wait $!
done
echo "$name stops"
