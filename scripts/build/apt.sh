# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Packages from other suites of the machine's own Debian archive, without
# touching the machine's apt set-up and without root: a private source list,
# derived from the machine's entries, with private state in the cache.
# Sourced after common.sh.

# shellcheck disable=SC1091
CODENAME=$([ ! -f /etc/os-release ] || . /etc/os-release
    printf '%s' "${VERSION_CODENAME:-stable}")

# Can packages be looked for and fetched here?
have_apt() { command -v dpkg-query apt-get apt-cache dpkg-source > /dev/null; }

# apt_log NAME COMMAND...: run with its output in a log of that name
apt_log() {
    mkdir -p "$CACHE/log"
    local log=$CACHE/log/apt-$1.log
    shift
    "$@" < /dev/null > "$log" 2>&1
}

# One entry per line, fields separated by tabs: URI, suite, components, then
# the options worth keeping as "Name: value" (newlines as \001)
apt_entries_oneline() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed 's/#.*//' "$file" || true
    done | awk '
        $1 != "deb" && $1 != "deb-src" { next }
        {
            opts = ""
            if (match($0, /\[[^]]*\]/)) {
                n = split(substr($0, RSTART + 1, RLENGTH - 2), o, " ")
                for (i = 1; i <= n; i++) {
                    if (sub(/^signed-by=/, "", o[i]))
                        opts = opts "\tSigned-By: " o[i]
                    else if (sub(/^trusted=/, "", o[i]))
                        opts = opts "\tTrusted: " o[i]
                    else if (sub(/^check-valid-until=/, "", o[i]))
                        opts = opts "\tCheck-Valid-Until: " o[i]
                }
                $0 = substr($0, 1, RSTART - 1) " " substr($0, RSTART + RLENGTH)
            }
            comps = ""
            for (i = 4; i <= NF; i++)
                comps = comps " " $i
            print $2 "\t" $3 "\t" comps " " opts
        }'
}

apt_entries_deb822() {
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && { sed '/^#/d' "$file"; echo; } || true
    done | awk '
        function flush(    i, j, n, m, u, s) {
            if (enabled != "no" && uris != "") {
                n = split(uris, u, " ")
                m = split(suites, s, " ")
                for (i = 1; i <= n; i++)
                    for (j = 1; j <= m; j++)
                        print u[i] "\t" s[j] "\t " comps " " opts
            }
            uris = suites = comps = opts = enabled = ""
        }
        /^[ \t]*$/ { flush(); next }
        /^[ \t]/ {
            if (field == "signed-by") opts = opts "\001" $0
            else if (field == "uris") uris = uris " " $0
            else if (field == "suites") suites = suites " " $0
            else if (field == "components") comps = comps " " $0
            next
        }
        {
            field = tolower($0); sub(/:.*/, "", field)
            value = $0; sub(/^[^:]*:[ \t]*/, "", value)
            if (field == "uris") uris = value
            else if (field == "suites") suites = value
            else if (field == "components") comps = value
            else if (field == "enabled") enabled = tolower(value)
            else if (field ~ /^(signed-by|trusted|check-valid-until)$/)
                opts = opts "\t" $0
        }
        END { flush() }'
}

# The entries for the main Debian archive. Other archives may use the same
# suite name; Debian's own keyring, or none, tells them apart where one has it.
apt_templates() {
    local all
    all=$({ apt_entries_oneline; apt_entries_deb822; } |
        awk -F '\t' -v suite="$CODENAME" '
            $2 == suite && $3 ~ / main / && !seen[$1]++')
    printf '%s\n' "$all" | awk -F '\t' '
        { line[NR] = $0; debian[NR] = 1 }
        /\tSigned-By:/ && !/debian-archive|\001/ { debian[NR] = 0 }
        debian[NR] { any = 1 }
        END { for (i = 1; i <= NR; i++) if (debian[i] || !any) print line[i] }'
}

# apt_write_list FILE TYPES ARCHITECTURE SUITE...
apt_write_list() {
    local file=$1 types=$2 arch=$3 uri rest
    shift 3
    apt_templates | while IFS=$'\t' read -r uri rest; do
        [ -n "$uri" ] || continue
        printf 'Types: %s\nURIs: %s\nSuites: %s\nComponents: main\n' \
            "$types" "$uri" "$*"
        printf 'Architectures: %s\n' "$arch"
        # Suite and components went by; what is left are options
        printf '%s\n' "$rest" | cut -f3- | tr '\t\001' '\n\n' | sed '/^$/d'
        echo
    done > "$file"
    [ -s "$file" ] || die 2 "found no entry for the Debian archive (suite" \
        "$CODENAME) in /etc/apt to derive a source list from; add one, or" \
        "give --qemu-src=DIR and --kernel-src=DIR"
}

# Scopes whose indexes this process has fetched
APT_FRESH=' '

# apt_private near|far|arm64: set APT_OPTS; fetch the indexes when there are none.
# near: stable and backports, sources and binaries; far: sources of what is
# not released yet; arm64: binaries of this release for that architecture, as if
# nothing were installed. APT_REFRESH=1 fetches them again, once in a process.
apt_private() {
    local dir=$CACHE/apt/$1 own index=source_Sources
    own=$(dpkg --print-architecture)
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    APT_OPTS=(-o "Dir::Etc::sourcelist=$dir/list.sources"
        -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$dir/lists"
        -o "Dir::Cache=$dir/cache" -o "APT::Sandbox::User=$(id -un)"
        -o Acquire::Languages=none -o Acquire::Retries=2)
    if [ "$1" = arm64 ]; then
        index=binary-arm64_Packages
        mkdir -p "$dir/state"
        touch "$dir/state/status"
        APT_OPTS+=(-o "Dir::State=$dir/state" -o "Dir::State::status=$dir/state/status"
            -o APT::Architecture=arm64 -o APT::Architectures=arm64)
    fi
    case $APT_FRESH in
    *" $1 "*) return 0 ;;
    esac
    [ -f "$dir/fetched" ] && [ -z "${APT_REFRESH:-}" ] && return 0
    case $1 in
    near)
        apt_write_list "$dir/list.sources" 'deb deb-src' "$own" \
            stable stable-backports "$CODENAME-backports"
        ;;
    far)
        apt_write_list "$dir/list.sources" deb-src "$own" testing unstable
        ;;
    arm64)
        apt_write_list "$dir/list.sources" deb arm64 "$CODENAME"
        ;;
    esac
    say "fetching the package indexes ($1) of the Debian archive"
    # A suite this archive does not have fails the command but not the rest
    apt_log "update-$1" apt-get "${APT_OPTS[@]}" -q update ||
        grep '^E:' "$CACHE/log/apt-update-$1.log" >&2 || true
    if ! ls "$dir/lists/"*"$index"* > /dev/null 2>&1; then
        tail -n 10 "$CACHE/log/apt-update-$1.log" >&2
        [ "$1" != arm64 ] ||
            die 3 "no packages for arm64 can be reached; check the network and /etc/apt"
        die 3 "no source packages (deb-src) can be reached; check the network" \
            "and /etc/apt, or give --qemu-src=DIR and --kernel-src=DIR"
    fi
    touch "$dir/fetched"
    APT_FRESH+="$1 "
}

# apt_candidates SCOPE LIST FETCH: call LIST, which prints candidates, best first,
# one per line, and FETCH with the words of each until one succeeds. An index can
# list what the pool no longer has: when nothing can be had, fetch the indexes
# again if they are old, and try what they list then. Status 1: none can be had.
apt_candidates() {
    local scope=$1 list=$2 fetch=$3 candidate
    local -a candidates words
    while true; do
        apt_private "$scope"
        mapfile -t candidates < <("$list")
        for candidate in "${candidates[@]}"; do
            read -ra words <<< "$candidate"
            "$fetch" "${words[@]}" && return 0
            say "$candidate is listed by the Debian archive ($scope) but cannot" \
                "be downloaded; trying the next candidate"
        done
        case $APT_FRESH in
        *" $scope "*) return 1 ;;
        esac
        [ "${#candidates[@]}" -gt 0 ] || return 1
        rm -f "$CACHE/apt/$scope/fetched"
    done
}

# Debian versions, newest first, each once
sort_versions() {
    local -a sorted=()
    local version i
    while read -r version; do
        for ((i = 0; i < ${#sorted[@]}; i++)); do
            dpkg --compare-versions "$version" lt "${sorted[i]}" || break
        done
        [ "${sorted[i]:-}" = "$version" ] ||
            sorted=("${sorted[@]:0:i}" "$version" "${sorted[@]:i}")
    done
    [ "${#sorted[@]}" -eq 0 ] || printf '%s\n' "${sorted[@]}"
}

newest_version() { sort_versions | sed -n 1p; }

# apt_source_versions PACKAGE REGEX: those whose text matches, newest first
apt_source_versions() {
    { apt-cache "${APT_OPTS[@]}" showsrc --only-source "$1" 2>/dev/null ||
        true; } |
        awk -v re="$2" '$1 == "Version:" && $2 ~ re { print $2 }' |
        sort_versions
}

# apt_binary_versions PACKAGE: newest first
apt_binary_versions() {
    { apt-cache "${APT_OPTS[@]}" madison "$1" 2>/dev/null || true; } |
        awk -F ' *[|] *' '/ Packages$/ { print $2 }' | sort_versions
}

# apt_best_binary PACKAGE [MINIMUM]: the version closest to this release
apt_best_binary() {
    local own
    own=$(apt-cache "${APT_OPTS[@]}" madison "$1" 2>/dev/null |
        awk -F ' *[|] *' -v want="$CODENAME-backports/" '
            / Packages$/ && index($3, want) { print $2 }' | newest_version)
    if [ -n "$own" ] && dpkg --compare-versions "$own" ge "${2:-0}"; then
        printf '%s\n' "$own"
    else
        apt_binary_versions "$1" | sed -n 1p
    fi
}

# apt_download_binary PACKAGE VERSION: print the path of the .deb. Status 1, and
# what apt said, when it cannot be had.
apt_download_binary() {
    local dir=$CACHE/dl/$1
    rm -rf "$dir"
    mkdir -p "$dir"
    (cd "$dir" && apt_log "download-$1" apt-get "${APT_OPTS[@]}" download \
        "$1=$2") || {
        grep '^E:' "$CACHE/log/apt-download-$1.log" >&2 || true
        return 1
    }
    ls "$dir"/*.deb
}

# apt_download_source PACKAGE VERSION: print the path of the .dsc. Status 1 as above.
apt_download_source() {
    local dir=$CACHE/dl/$1-src
    rm -rf "$dir"
    mkdir -p "$dir"
    (cd "$dir" && apt_log "source-$1" apt-get "${APT_OPTS[@]}" source \
        --download-only "$1=$2") || {
        grep '^E:' "$CACHE/log/apt-source-$1.log" >&2 || true
        return 1
    }
    ls "$dir"/*.dsc
}
