# packages.sh - one reader of bin/packages.txt, sourced by the scripts of bin/.
#
# require_packages GROUP... installs what dpkg does not know yet. When everything is there no
# package manager is called and no rights are needed: dpkg's database is readable by everyone.
# Root, or sudo, is used for the installation alone. On a system without dpkg the list is
# printed, and the build itself says what it misses.

packages_of() {
    local pattern
    pattern=$(IFS='|'; printf '%s' "$*")
    sed -nE "s/^($pattern) +([^ ]+)\$/\\2/p" "$ROOT/bin/packages.txt"
}

packages_missing() {
    local wanted have
    mapfile -t wanted < <(packages_of "$@")
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
        sed -n 's/^installed //p')
    printf '%s\n' "${wanted[@]}" | grep -vxF -e "$have" || true
}

require_packages() {
    local missing log as_root=()
    if ! command -v dpkg-query >/dev/null; then
        say "this is not a Debian system; packages expected: $(packages_of "$@" | tr '\n' ' ')"
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    if [ ${#missing[@]} -eq 0 ]; then
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null ||
            die "missing packages: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "installing packages: ${missing[*]}"
    log=$(mktemp)
    {
        "${as_root[@]}" apt-get -q update ||
            say "apt-get update failed; trying with the known lists"
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}"
    } >"$log" 2>&1 || {
        tail -n 30 "$log" >&2
        die "apt-get could not install: ${missing[*]} (log: $log)"
    }
    rm -f "$log"
}
