#!/bin/sh
# From a fresh Debian 12 to a result, as root or with sudo:
#
#   sh SuperBuild/bootstrap.sh demo    build, make a scan with known truth, segment it, compare
#   sh SuperBuild/bootstrap.sh test    build, run every test
#   sh SuperBuild/bootstrap.sh build   build only
#
# Packages are installed only when one is missing, so that later runs need no network. Everything that
# is made goes into build/; what long commands print goes into build/log/.
set -eu

# The only list of what the build needs.
packages="cmake ninja-build gcc g++ libc6-dev zlib1g-dev libdnnl-dev libinsighttoolkit5-dev
          libgtest-dev nlohmann-json3-dev libvtk9-dev"

demo_seed=26
demo_dice=0.90

cd "$(dirname "$0")/.."
bin=build/release/bin
log=build/log
demo=build/demo
begin=$(date +%s)

fail()
{
    echo "bootstrap: $*" >&2
    exit 1
}

# stage NAME COMMAND...: run it with its output in build/log/NAME.txt; one line says how long it took.
stage()
{
    name=$1
    shift
    start=$(date +%s)
    printf '%-10s ' "$name"
    if "$@" >"$log/$name.txt" 2>&1 </dev/null; then
        echo "$(($(date +%s) - start)) s"
    else
        code=$?
        echo "failed (exit code $code) after $(($(date +%s) - start)) s; the end of $log/$name.txt:"
        tail -n 30 "$log/$name.txt"
        exit "$code"
    fi
}

missing_packages()
{
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

apt()
{
    DEBIAN_FRONTEND=noninteractive $as_root apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

install_missing()
{
    apt update && apt install --no-install-recommends "$@"
}

install_packages()
{
    if ! command -v dpkg-query >/dev/null 2>&1; then
        echo "packages   not a Debian system: needs what corresponds to" $packages
        return
    fi
    missing=$(missing_packages)
    if [ -z "$missing" ]; then
        echo "packages   all there"
        return
    fi
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || fail "needs root or sudo to install: $missing"
        as_root="sudo --preserve-env=DEBIAN_FRONTEND"
        sudo true # asks for the password before output is redirected
    fi
    echo "packages   missing: $missing"
    stage install install_missing $missing
}

# As many compilers as processors, but one per GiB of free memory: ITK's headers are large.
job_count()
{
    count=$(nproc 2>/dev/null || echo 1)
    if [ -r /proc/meminfo ]; then
        memory=$(awk '/^MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
        [ "${memory:-1}" -ge "$count" ] || count=${memory:-1}
    fi
    [ "$count" -ge 1 ] || count=1
    echo "$count"
}

# build [TARGET...]: everything when no target is named.
build()
{
    mkdir -p "$log"
    install_packages
    stage configure cmake --preset release
    targets=
    [ $# = 0 ] || targets="--target $*"
    stage compile cmake --build build/release --parallel "$(job_count)" $targets
}

run_demo()
{
    build VerdiffSimulate VerdiffSegment VerdiffEvaluate VerdiffPreview
    rm -rf "$demo"
    mkdir -p "$demo"
    stage simulate "$bin/VerdiffSimulate" "$demo/phantom" --modality mr --labels vertebra --cases 1 --seed "$demo_seed"
    mv "$demo/phantom/imagesTr/mr0001_0000.nii.gz" "$demo/scan.nii.gz"
    mv "$demo/phantom/labelsTr/mr0001.nii.gz" "$demo/truth.nii.gz"
    rm -rf "$demo/phantom"
    stage segment "$bin/VerdiffSegment" "$demo/scan.nii.gz" "$demo/segmentation.seg.nrrd" --report "$demo/report.json"
    stage evaluate "$bin/VerdiffEvaluate" "$demo/truth.nii.gz" "$demo/segmentation.seg.nrrd" --report "$demo/scores.json"
    stage preview "$bin/VerdiffPreview" "$demo/scan.nii.gz" "$demo/preview.png" \
        --reference "$demo/truth.nii.gz" --segmentation "$demo/segmentation.seg.nrrd"

    dice=$(sed -n 's/^.*"dice": *\([0-9][0-9.e+-]*\).*$/\1/p' "$demo/scores.json" | head -n 1)
    [ -n "$dice" ] || fail "$demo/scores.json holds no Dice"
    echo
    printf 'Dice %.4f, ' "$dice"
    echo "$(($(date +%s) - begin)) s in all. Look at:"
    for file in preview.png scan.nii.gz segmentation.seg.nrrd truth.nii.gz report.json scores.json; do
        echo "  $demo/$file"
    done
    awk -v dice="$dice" -v least="$demo_dice" 'BEGIN { exit !(dice + 0 >= least + 0) }' ||
        fail "Dice $dice is below $demo_dice"
}

run_tests()
{
    build
    ctest --test-dir build/release --output-on-failure --parallel "$(job_count)"
}

case "${1:-}" in
build) build ;;
demo) run_demo ;;
test) run_tests ;;
*)
    echo "usage: sh SuperBuild/bootstrap.sh build|demo|test" >&2
    exit 2
    ;;
esac
