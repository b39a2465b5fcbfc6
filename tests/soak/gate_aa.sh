#!/bin/sh
# gate_aa.sh - how often does the gate cry wolf? Runs `mistral-bench --vs` of a build against itself, many
# times, and prints how often each verdict came. A thousand take hours: stop it with Ctrl-C and start it
# again with the same FILE, and it goes on where it was.
#
#   tests/soak/gate_aa.sh BUILD_ROOT [-n GATES] [-o FILE] [-b BURNERS] [-f FAULT] [-r] [-- OPTIONS]
#     -n  gates in all, those already in FILE counted (default: 1000)
#     -o  where the outcomes are kept (default: gate_aa.csv)
#     -b  programs beside it that write to memory in bursts (default: 0)
#     -f  a planted fault for the candidate, see tests/plugins/slow.c: attention:+5%. Then it is power
#         that is measured, not false alarms
#     -r  the candidate is the relinked build (tests/plugins/padding.c) and not the same file
#     --  the rest is given to mistral-bench, as --gate 5
# Exit code 1 if a build was called slower than itself, or with burners a fault of 10 % and more the same.
set -eu

usage() {
    sed -n '2,/^set -eu/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2
    exit 2
}

[ $# -ge 1 ] || usage
root=$1
shift
gates=1000 file=gate_aa.csv burners=0 fault= candidate=reference
while getopts n:o:b:f:r option; do
    case $option in
        n) gates=$OPTARG ;;
        o) file=$OPTARG ;;
        b) burners=$OPTARG ;;
        f) fault=$OPTARG ;;
        r) candidate=$root/tests/plugins/mistral_relinked.so ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ -z "$fault" ] || candidate=$root/tests/plugins/mistral_slow.so
bench=$root/tools/mistral-bench
[ -x "$bench" ] || { echo "gate_aa.sh: $bench: expected the program, found none; build it first" >&2; exit 2; }

# What the lines of FILE must have been made with.
setup="candidate=$(basename "$candidate") fault=$fault burners=$burners options=$*"
if [ -s "$file" ] && [ "$(head -n 1 "$file")" != "# $setup" ]; then
    echo "gate_aa.sh: $file: made with '$(head -n 1 "$file")', not '# $setup'; name another file" >&2
    exit 3
fi
[ -s "$file" ] || printf '# %s\ntime,load,exit,seconds,verdicts\n' "$setup" >"$file"

children=
stop() {
    for child in $children; do kill "$child" 2>/dev/null || true; done
}
trap stop EXIT
trap 'exit 130' INT TERM
n=0
while [ "$n" -lt "$burners" ]; do
    # Bursts of writing 64 MiB at a time, with pauses: a neighbour, and not a constant load.
    ( while :; do dd if=/dev/zero of=/dev/null bs=64M count=40 2>/dev/null; sleep 0.3; done ) &
    children="$children $!"
    n=$((n + 1))
done

count() { grep -c "$1" "$file" || true; }

done_before=$(count '^[0-9]')
n=$done_before
while [ "$n" -lt "$gates" ]; do
    load=$(cut -d ' ' -f 1 /proc/loadavg)
    start=$(date +%s)
    code=0
    json=$(MV_FAULT=$fault "$bench" --backend reference --vs "$candidate" --quiet --format json "$@" 2>/dev/null) || code=$?
    case $code in # stopped, or nothing was compared: no outcome of a gate
        0 | 1) ;;
        *) echo "gate_aa.sh: $bench ended with exit code $code: no verdict" >&2; exit "$code" ;;
    esac
    verdicts=$(printf '%s\n' "$json" | sed -n 's/.*"method": "interleaved".*"verdict": "\([a-z]*\)".*/\1/p' | tr '\n' ' ')
    printf '%s,%s,%s,%s,%s\n' "$start" "$load" "$code" "$(($(date +%s) - start))" "$verdicts" >>"$file"
    n=$((n + 1))
    [ ! -t 2 ] || printf '\r%s of %s gates, %s with a slower row ' "$n" "$gates" "$(count 'slower')" >&2
done
[ ! -t 2 ] || echo >&2

awk -F, '/^[0-9]/ {
    gates++; load += $2; seconds += $4; codes[$3]++
    if ($2 > most) most = $2
    if ($4 > longest) longest = $4
    rows = split($5, row, " ")
    for (i = 1; i <= rows; i++) { verdicts[row[i]]++; all++ }
}
END {
    printf "%d gates, load %.1f on average and %.1f at most, %.1f s a gate and %d s at most\n",
        gates, load / gates, most, seconds / gates, longest
    split("slower same faster inconclusive", names, " ")
    for (i = 1; i <= 4; i++)
        printf "  %-12s %6d of %d rows  %6.2f %%\n", names[i], verdicts[names[i]], all,
            all ? 100 * verdicts[names[i]] / all : 0
    for (code in codes) printf "  exit code %-2s %6d gates\n", code, codes[code]
}' "$file"

if [ -z "$fault" ]; then
    [ "$(count 'slower')" -eq 0 ]
elif [ "$burners" -gt 0 ] && [ "$(printf '%s' "$fault" | sed 's/[^0-9]//g')" -ge 10 ]; then
    [ "$(grep -c '^[0-9].*same' "$file" || true)" -eq 0 ]
fi
