#!/bin/sh
# What to run first on a machine with a GPU: builds, tests and times the CUDA back end in one call.
#
#     Testing/Tools/gpu_check.sh [options] OUT_FOLDER
#
#   --seconds N        time for everything, 560
#   --parts "A B ..."  of: build tests golden train sanitizer bench peer; all of them
#   --build FOLDER     where to build, build/gpu; a second call finds its work there
#   --python PROGRAM   a Python that has torch, python3
#   --emulated FOLDER  no GPU: the emulated library and the programs of that build folder, tiny sizes
#
# Every command has a time limit and the sum has one, so it always ends and always leaves
#   OUT_FOLDER/gpu.txt   one table: what passed, ours against PyTorch, ceilings, targets met or missed
#   OUT_FOLDER/gpu.json  the same and every number
#   OUT_FOLDER/log.txt   what the commands printed
# Status 1: a part failed (the table says which). A missed target of speed is no failure.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
seconds=560 parts="build tests golden train sanitizer bench peer"
build=$root/build/gpu python=python3 emulated="" out=""
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2; shift ;;
    --parts) parts=$2; shift ;;
    --build) build=$2; shift ;;
    --python) python=$2; shift ;;
    --emulated) emulated=$2; shift ;;
    -*) echo "gpu_check.sh: $1 is no option" >&2; exit 2 ;;
    *) out=$1 ;;
    esac
    shift
done
[ -n "$out" ] || { echo "usage: gpu_check.sh [options] OUT_FOLDER" >&2; exit 2; }
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
parts_folder=$(mktemp -d) || exit 2
end=$(($(date +%s) + seconds - 6)) # six for the table
number=0

left() { echo $((end - $(date +%s))); }
wanted() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }

# Number, part, name, limit in seconds, command. What it prints and how it ended go into files of their
# own, so that several may run at once.
run_numbered() {
    file=$parts_folder/$(printf '%04d' "$1") part=$2 name=$3 limit=$4
    shift 4
    rest=$(left) note="" cut="" status=0 begin=$(date +%s)
    [ "$limit" -le "$rest" ] || { limit=$rest cut=", no time left"; }
    if [ "$limit" -lt 2 ]; then
        note="no time left"
    else
        timeout -k 3 "$limit" "$@" </dev/null >"$file.out" 2>&1
        status=$?
        case $status in 124 | 137) note="stopped after $limit s$cut" ;; 77) note=skipped ;; esac
    fi
    {
        echo "== $part $name: status $status $note: $*"
        [ ! -f "$file.out" ] || cat "$file.out"
    } >"$file.log"
    [ ! -f "$file.out" ] || grep '^{.*}$' "$file.out" >"$file.json"
    printf '{"check": "%s", "name": "%s", "status": %d, "seconds": %d, "note": "%s"}\n' \
        "$part" "$name" "$status" $(($(date +%s) - begin)) "$note" >>"$file.json"
    echo "$part $name: status $status $note"
    return $status
}
run() {
    number=$((number + 1))
    run_numbered $number "$@"
}
at_once() { # twelve at a time; the last of a part ends with wait
    number=$((number + 1))
    run_numbered $number "$@" &
    [ $((number % 12)) -ne 0 ] || wait
}
# A limit of at most $1 seconds that leaves the benchmarks theirs.
at_most() {
    limit=$(($(left) - reserve))
    [ "$limit" -le "$1" ] || limit=$1
    echo "$limit"
}

finish() {
    cat "$parts_folder"/*.log >"$out/log.txt" 2>/dev/null
    cat "$parts_folder"/*.json >"$out/results.jsonl" 2>/dev/null
    rm -rf "$parts_folder"
    "$python" -B "$root/Testing/Tools/gpu_table.py" "$out"
    exit $?
}
trap finish INT TERM

# ---- the machine and the build ---------------------------------------------------------------------

# cuDNN of PyTorch's wheels, where the machine has no other.
wheels=$("$python" -c 'import nvidia, os; print(list(nvidia.__path__)[0])' 2>/dev/null)
cudnn=""
if [ -z "$emulated" ] && [ -n "$wheels" ]; then
    for folder in "$wheels"/*/lib; do
        [ ! -d "$folder" ] || LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    done
    export LD_LIBRARY_PATH
    [ ! -f "$wheels/cudnn/include/cudnn_graph.h" ] || cudnn=-DVERDIFF_CUDNN_INCLUDE=$wheels/cudnn/include
fi

# The operator tests of CTest's list of CUDA tests, "norm" and "f16_norm" for norm's in f16.
list_tests() {
    ctest --test-dir "$build" -N | sed -n 's/^ *Test *#[0-9]*: cuda_\([a-z0-9_]*\)$/\1/p'
}
program_of() { echo "test_${1#f16_}"; }

if [ -n "$emulated" ]; then
    build=$(cd "$emulated" && pwd) || exit 2
    library=$build/tests/libverdiff_cuda_emulated.so
    tests="activation f16_sk_select loss"
else
    library=$build/lib/libverdiff_cuda.so
    if wanted build; then
        run build machine 20 nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv
        arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d .)
        generator=$(command -v ninja >/dev/null && echo Ninja || echo "Unix Makefiles")
        run build configure 60 cmake -S "$root" -B "$build" -G "$generator" -DCMAKE_BUILD_TYPE=Release \
            -DVERDIFF_CORE_ONLY=ON -DVERDIFF_ONEDNN=OFF -DVERDIFF_CUDA=ON \
            "-DVERDIFF_CUDA_ARCHITECTURES=${arch:-90}-real" $cudnn || finish
    fi
    tests=""
    targets="verdiff_cuda test_golden bench_network bench_cuda bench_study"
    for name in $(list_tests); do
        program=$(program_of "$name")
        [ -n "$(find "$root/Testing" -name "$program.c")" ] || continue
        case $name in # the longest first
        *conv*) tests="$name $tests" ;;
        *) tests="$tests $name" ;;
        esac
        targets="$targets $program"
    done
    if wanted build; then
        targets=$(echo "$targets" | tr ' ' '\n' | sort -u | tr '\n' ' ')
        run build build 240 cmake --build "$build" -j "$(nproc)" --target $targets || finish
    fi
fi
device="--device cuda --cuda-library $library"
reserve=0
[ -n "$emulated" ] || ! wanted bench || reserve=220

# ---- does it compute the right thing -----------------------------------------------------------------

if wanted tests; then
    for name in $tests; do
        half=bf16
        [ "${name#f16_}" = "$name" ] || half=f16
        at_once tests "$name" "$(at_most 180)" env VERDIFF_TEST_BACKEND="$library" VERDIFF_TEST_HALF=$half \
            "$build/tests/$(program_of "$name")"
    done
    wait
fi
if wanted golden; then
    files=""
    [ -z "$emulated" ] || files=unit
    run golden network "$(at_most 120)" env VERDIFF_TEST_BACKEND="$library" "$build/tests/test_golden" $files
fi
if wanted train; then
    config="--config tiny --size 160x160"
    [ -z "$emulated" ] || config="--config unit --size 16x16"
    for dtype in f32 bf16; do
        run train "loss falls, $dtype" 60 "$build/bench/bench_network" $config --mode train \
            --dtype $dtype --batch 2 --repeats 8 $device
    done
fi
if wanted sanitizer; then
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
    if [ -z "$sanitizer" ]; then
        run sanitizer "not on this machine" 5 sh -c 'exit 77'
    else
        for pair in memcheck:conv memcheck:attention memcheck:norm racecheck:norm racecheck:loss \
            initcheck:conv; do
            at_once sanitizer "$pair" "$(at_most 60)" env VERDIFF_TEST_BACKEND="$library" "$sanitizer" \
                --tool "${pair%:*}" --error-exitcode 3 "$build/tests/test_${pair#*:}"
        done
        wait
    fi
fi

# ---- how fast ----------------------------------------------------------------------------------------

# config, mode, size, batch
network() {
    run bench "$1 $2 $3 batch $4" 40 "$build/bench/bench_network" --config "$1" --mode "$2" \
        --size "$3" --batch "$4" --steps "${steps:-25}" --repeats "${repeats:-7}" $device
}
study() {
    config=$1
    shift
    run bench "study $config" 60 "$build/bench/bench_study" --config "$config" "$@" $device
}
operators() {
    run bench "operators $1" 60 "$build/bench/bench_cuda" --dtype "$1" --limit 45 $shapes $device
}

if wanted bench && [ -n "$emulated" ]; then
    steps=2 repeats=1
    network unit step 16x16 2
    network unit train 16x16 2
    study unit --size 24x20 --slices 3 --steps 2 --samples 2 --repeats 1
    shapes="--config unit --size 16x16 --batch 1 --ms 1 --ceiling 64"
    operators bf16
    operators f32
elif wanted bench; then
    shapes="--config full --size 320x320 --batch 8 --ms 8"
    network base step 320x320 8
    network base train 320x320 8
    study base --repeats 2
    study small --repeats 2
    operators bf16
    for config in small full; do
        network $config step 320x320 8
        network $config train 320x320 8
    done
    network base step 320x320 1
    network base train 320x320 1
    network base step 320x320 32
    # The rest as far as PyTorch keeps its time.
    while read -r config mode size batch; do
        [ "$(left)" -gt 200 ] || break
        network "$config" "$mode" "$size" "$batch"
    done <<END
base step 880x880 8
base train 880x880 8
base step 880x880 1
small step 320x320 1
small step 880x880 8
full step 320x320 1
small step 320x320 32
full step 320x320 32
full step 880x880 8
base train 880x880 1
base train 320x320 32
small train 320x320 1
full train 320x320 1
small train 880x880 8
full train 880x880 8
small step 880x880 1
full step 880x880 1
small train 320x320 32
full train 320x320 32
small train 880x880 1
full train 880x880 1
base step 880x880 32
small step 880x880 32
full step 880x880 32
base train 880x880 32
small train 880x880 32
full train 880x880 32
END
    [ "$(left)" -le 230 ] || operators f32
fi
if wanted peer; then
    budget=$(($(left) - 5))
    options=""
    if [ -n "$emulated" ]; then
        options="--device cpu --configs unit --sizes 16x16 --batches 2 --forms eager"
        [ "$budget" -le 90 ] || budget=90
    fi
    [ "$budget" -lt 10 ] || run peer pytorch $((budget + 4)) "$python" -B \
        "$root/Testing/Bench/peer_pytorch_cuda.py" --budget "$budget" $options
fi
finish
