# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host's virtio_rng against an entropy device.

. "/pciep/functions/$FUNCTION/virtio.sh"

RNG=/sys/class/misc/hw_random

function_setup() { virtio_setup virtio_rng; }

# rng_choose: has /dev/hwrng read the device.  The driver numbers its devices and
# does not say which is which, so with several this is any of them.
rng_choose() {
    for _r in $(cat $RNG/rng_available); do
        case $_r in
        virtio_rng.*) echo "$_r" >$RNG/rng_current && return ;;
        esac
    done
    echo "no virtio_rng in $(cat $RNG/rng_available)"
    return 1
}

# rng_differ: two readings of 4 KiB differ, and neither repeats itself.
rng_differ() {
    rng_choose || return
    for _n in 1 2; do
        dd if=/dev/hwrng of="/tmp/rng$_n.$TAG" bs=1k count=4 iflag=fullblock || return
        gzip -c "/tmp/rng$_n.$TAG" >"/tmp/rng$_n.$TAG.gz"
        [ "$(wc -c <"/tmp/rng$_n.$TAG.gz")" -ge 4096 ] || return
    done
    ! cmp -s "/tmp/rng1.$TAG" "/tmp/rng2.$TAG"
}

# rng_rate: reads data and prints how fast that was.
rng_rate() {
    rng_choose || return
    _kib=$(($(numeric "$OPT_DATA") / 1024))
    _begin=$(ticks)
    dd if=/dev/hwrng of=/dev/null bs=1k count="$_kib" iflag=fullblock || return
    _took=$(($(ticks) - _begin))
    [ "$_took" -gt 0 ] || _took=1
    echo "$((_kib * 100 / _took)) KiB/s"
}

# ticks: prints the time since boot in hundredths of a second.
ticks() { cut -d' ' -f1 /proc/uptime | tr -d .; }

function_run() {
    say "TAP version 13"
    TAP_N=0
    check DIFFER rng_differ
    check RATE rng_rate
    say "# RATE: $(tail -n 1 "/tmp/check.$TAG")"
    say "1..$TAP_N"
    return $FAILED
}
