# The steps of .ci/run, timed. To be sourced under `set -euo pipefail`; steps_test.sh is its test.
begun=$SECONDS
summary=""

# step NAME COMMAND...: the command ends everything at its first failing line. So it must not stand before `||` or
# behind `if`, where bash goes on.
step() {
  name=$1 start=$SECONDS
  shift
  echo "::: $name"
  "$@"
  summary+=$(printf '%6d s  %s' $((SECONDS - start)) "$name")$'\n'
}
trap 'rc=$?; [ $rc -eq 0 ] || echo "::: ${name:-start} FAILED after $((SECONDS - ${start:-begun})) s"' EXIT
