#!/usr/bin/env bash
# Runs the array and the merge on a real Slurm: one node, started from a temporary folder and removed afterwards.
#
# Usage: contrib/slurm/test.sh [PROGRAM] [SEEDS]      (default: target/release/latent 1..201)
#
# While the array runs, one task is requeued half-way (Slurm ends it with SIGTERM), and the program of another is killed
# (SIGKILL, what a failing node does), and its task requeued too. A third is warned as before its time limit, and requeues
# itself. In the end the merged slices must equal the same sweep in one piece, case by case.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/latent}")
seeds=${2:-1..201}
[ -x "$program" ] || { echo "error: $program is not there: cargo build --release --package latent" >&2; exit 1; }
PATH=$PATH:/usr/sbin:/sbin
for tool in slurmctld slurmd munged sbatch scontrol squeue; do
    command -v "$tool" >/dev/null ||
        { echo "error: $tool is missing: apt-get install slurm-wlm munge (Debian), and run this again" >&2; exit 1; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/latent-slurm.XXXXXX")
daemons=()
finish() {
    code=$?
    if [ "$code" -ne 0 ]; then
        for log in "$dir"/*.log "$dir"/results/*.log; do
            [ ! -s "$log" ] || { printf -- '-- %s\n' "$log"; tail -n 15 "$log"; } >&2
        done
    fi
    # The node after its jobs, munge last: the others talk through it.
    [ ! -e "$dir/slurm.conf" ] || scancel --user="$(id -un)" 2>/dev/null || true
    for ((i = ${#daemons[@]} - 1; i >= 0; i--)); do
        kill "${daemons[i]}" 2>/dev/null && wait "${daemons[i]}" 2>/dev/null
    done
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }
# Waits until a command succeeds: at most so many seconds.
await() {
    local seconds=$1 what=$2 until=$((SECONDS + $1))
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$until" ] || fail "$what: not within $seconds s"
        sleep 0.2
    done
}

printf '== Slurm on one node, in %s\n' "$dir"
me=$(id -un) host=$(hostname -s) port=$((20000 + $$ % 20000))
chmod 700 "$dir"
mkdir "$dir/state" "$dir/spool" "$dir/munge"
# munged and its clients insist on a folder that others may enter and cannot write to.
chmod 711 "$dir" "$dir/munge"
(umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
munge=$dir/munge
munged --foreground --force --key-file="$dir/munge.key" --socket="$munge/socket" --pid-file="$munge/pid" \
    --seed-file="$munge/seed" --log-file="$dir/munged.log" >>"$dir/munged.log" 2>&1 &
daemons+=($!)

# More processors than the machine has: the four slices shall run at once. A requeued job waits for as long as its
# credential lives, else two minutes.
cat >"$dir/slurm.conf" <<CONF
ClusterName=latent
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
KillWait=10
ReturnToService=2
NodeName=node-1 NodeHostname=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=main Nodes=node-1 Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf
slurmctld -D >>"$dir/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D -N node-1 >>"$dir/slurmd.log" 2>&1 &
daemons+=($!)
is_idle() { [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ]; }
await 30 "the node is idle" is_idle

printf '== an array of four slices, and the merge behind it (%d s so far)\n' "$SECONDS"
results=$dir/results
sweep=(generated --seeds "$seeds")
said=$(LATENT=$program contrib/slurm/submit.sh 4 "$results" --cpus-per-task=1 --time=30 -- "${sweep[@]}" 2>&1)
echo "$said"
array=$(sed -n 's/^sweep: job \([0-9]*\),.*/\1/p' <<<"$said")
merge=$(sed -n 's/^merge: job \([0-9]*\),.*/\1/p' <<<"$said")
[ -n "$array" ] && [ -n "$merge" ] || fail "submit.sh named no jobs"

cases() { [ ! -e "$results/slice-$1.jsonl" ] && echo 0 || grep -c '^{"case"' "$results/slice-$1.jsonl" || true; }
is_begun() { [ "$(cases "$1")" -ge 2 ]; }
# What stands in a slice's file now, whole lines only: the file must still begin with it in the end.
keep() { sed -n '$!p' "$results/slice-$1.jsonl" >"$dir/before-$1"; }
program_of() { pgrep --full "sweep .*--json $results/slice-$1.jsonl" || fail "slice $1 does not run"; }

await 120 "slice 2 runs" is_begun 2
keep 2
scontrol requeue "${array}_2"
echo "slice 2: requeued after $(cases 2) cases"
await 120 "slice 3 runs" is_begun 3
keep 3
kill -KILL $(program_of 3)
echo "slice 3: its program killed after $(cases 3) cases"
is_failed() { [ "$(squeue --noheader --states=all --jobs="${array}_3" --format=%T)" = FAILED ]; }
await 60 "slice 3 failed" is_failed
scontrol requeue "${array}_3"
await 120 "slice 4 runs" is_begun 4
keep 4
scancel --batch --signal=TERM "${array}_4"
echo "slice 4: warned as before its time limit, after $(cases 4) cases"

is_merged() {
    case $(squeue --noheader --states=all --jobs="$merge" --format=%T) in
        COMPLETED | FAILED | CANCELLED | TIMEOUT) return 0 ;;
        *) return 1 ;;
    esac
}
await 1200 "the merge ended" is_merged
printf '== the merge (%d s so far)\n' "$SECONDS"
cat "$results/merge.log"
code=$(scontrol show job "$merge" | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p')
[ "$code" = 0 ] || fail "the merge ended with exit code $code"

for slice in 2 3 4; do
    restarts=$(scontrol show job "${array}_$slice" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p')
    [ "$restarts" = 1 ] || fail "slice $slice was started again $restarts times, not once"
    head -c "$(stat --format=%s "$dir/before-$slice")" "$results/slice-$slice.jsonl" | cmp - "$dir/before-$slice" ||
        fail "slice $slice: the cases from before are not at the beginning of its file"
    [ "$(grep -c 'from Slurm array' "$results/slice-$slice.log")" = 2 ] || fail "slice $slice did not run in two parts"
done
for slice in 2 4; do
    grep -q '^stopped after ' "$results/slice-$slice.log" || fail "slice $slice was not ended in order"
done

printf '== the same sweep in one piece (%d s so far)\n' "$SECONDS"
"$program" sweep "${sweep[@]}" --json "$dir/whole.jsonl" >/dev/null
# Real time is the one thing that differs.
lines() { grep -h '^{"case"' "$@" | sed 's/"wall_ms":[0-9]*/"wall_ms":0/' | LC_ALL=C sort; }
lines "$dir/whole.jsonl" >"$dir/whole"
lines "$results"/slice-?.jsonl >"$dir/merged"
[ -s "$dir/whole" ] || fail "the sweep in one piece has no cases"
cmp "$dir/whole" "$dir/merged" || fail "the merged slices are not the sweep in one piece"
summary() { "$program" merge --json "$@"; }
[ "$(summary "$dir/whole.jsonl")" = "$(summary "$results"/slice-?.jsonl)" ] || fail "the two summaries differ"
printf 'all good in %d s: %d cases, the same in four interrupted slices as in one piece\n' "$SECONDS" "$(wc -l <"$dir/whole")"
