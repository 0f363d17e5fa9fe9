# Sourced by deploy/run, deploy/test and .ci/run: running a child so that Ctrl-C
# and SIGTERM end it in an orderly way, and so that it does not outlive us.
# shellcheck shell=bash

child=
child_is_group=no
interrupted=

# The child gets one signal from us, in a session of its own: not a second one
# from the terminal. A group is for children that do not pass signals on (cargo).
forward_signal() {
    interrupted=$1
    [[ -n $child ]] || exit "$interrupted"
    if [[ $child_is_group == yes ]]; then
        # Before it has its session there is no such group yet.
        kill -TERM -- "-$child" 2>/dev/null || kill -TERM "$child" 2>/dev/null || true
    else
        kill -TERM "$child" 2>/dev/null || true
    fi
}

handle_signals() {
    trap 'forward_signal 130' INT
    trap 'forward_signal 143' TERM
    trap 'forward_signal 129' HUP
}

# attend [--group] COMMAND...: runs it, waits for it whatever signals arrive, and
# returns its code; after a signal, ends this script with the signal's code. A
# SIGKILL of this script becomes a SIGTERM of the child, where setpriv is there.
attend() {
    local code=0 guard=()
    child_is_group=no
    if [[ $1 == --group ]]; then
        child_is_group=yes
        shift
    fi
    if setpriv --pdeathsig TERM true 2>/dev/null; then
        guard=(setpriv --pdeathsig TERM)
    fi
    # An interrupt between the fork and the next line would find no child.
    ${guard[@]+"${guard[@]}"} setsid "$@" </dev/null &
    child=$!
    [[ -z $interrupted ]] || forward_signal "$interrupted"
    while :; do
        code=0
        wait "$child" || code=$?
        # A trapped signal ends "wait" early, with the child still there.
        kill -0 "$child" 2>/dev/null || break
    done
    child=
    [[ -z $interrupted ]] || exit "$interrupted"
    return "$code"
}
