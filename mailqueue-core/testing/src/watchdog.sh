# usage: sh -c THIS watchdog DIRECTORY SIGNAL PROGRAM [ARGUMENT...]
#
# Runs a server whose life ends with the test process. Standard input is a pipe that only that process holds
# open, so its end is seen however the process died. Standard output tells it the server's pid, then its exit.
#
#   end of input    the server is woken, gets SIGNAL, and DIRECTORY is removed
#   a line          (only after the exit was reported) DIRECTORY stays, for the next start
directory=$1 signal=$2
shift 2
exec 3<&0

"$@" </dev/null >>"$directory/log" 2>&1 3<&- &
server=$!
trap '' PIPE # set after the start: a server should not inherit it

# A frozen server hears no signal but KILL and CONT, so it and its children are thawed first.
(
    read -r _ <&3
    kill -CONT "$server" $(cat "/proc/$server/task/$server/children")
    kill -"$signal" "$server"
) >/dev/null 2>&1 &
guard=$!

echo "$server"
wait "$server"
status=$?

# The guard must be gone before the exit is told, or it might read the line that is meant for this shell.
kill "$guard" 2>/dev/null
wait "$guard" 2>/dev/null
echo "$status" 2>/dev/null
read -r _ <&3 || rm -rf "$directory"
