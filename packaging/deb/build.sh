#!/bin/sh
# build.sh SOURCE VERSION - packs ./millrace and ./millrace.1 of a build directory into ./millrace_VERSION_ARCH.deb (make deb).
#
# dpkg-deb packs a folder that is laid out here, and dpkg-shlibdeps reads from the program what it needs: no debhelper, no root, no
# second build. The units and examples are those of examples/, the pages those of docs/. No maintainer scripts: nothing is started
# or enabled, nothing is written that removing the package would have to find again.
#
# DEBFULLNAME and DEBEMAIL name the maintainer, as Debian's own tools read them.
# A build with failure points or sanitizers is for tests: VERSION then ends in "+test" (the Makefile sees to that).
set -eu
umask 022
source=$(cd "$1" && pwd)
version=$2
here=$PWD
work=$here/deb-root
root=$work/debian/millrace
doc=$root/usr/share/doc/millrace

die() {
    echo "make deb: $*" >&2
    exit 1
}

for tool in dpkg-deb dpkg-shlibdeps dpkg-architecture; do
    command -v $tool >/dev/null || die "$tool is not installed (Debian: dpkg-dev)"
done
arch=$(dpkg-architecture -qDEB_HOST_ARCH)
rm -rf "$work"
mkdir -p "$root/usr/bin" "$root/usr/share/man/man1" "$root/usr/share/millrace" "$root/usr/lib/systemd/system" "$doc/examples"

# Dates of the files, and with them the package's bytes, depend on the changelog alone.
released=$(sed -n 's/^ -- .*>  //p' "$source/packaging/deb/changelog" | head -n 1)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(date -ud "$released" +%s)}
export SOURCE_DATE_EPOCH

strip --remove-section=.comment --remove-section=.note -o "$root/usr/bin/millrace" "$here/millrace"
gzip -9nc "$here/millrace.1" >"$root/usr/share/man/man1/millrace.1.gz"
cp "$source"/examples/schedulers/systemd/millrace@.* "$root/usr/lib/systemd/system/"
cp -R "$source/docs/guide" "$source/docs/reference" "$doc/"
mkdir "$doc/examples/pipelines"
cp "$source"/config/examples/*.json "$doc/examples/pipelines/" # and not what their runs have left beside them
cp -R "$source/examples/schedulers" "$doc/examples/"
cp "$source/packaging/deb/copyright" "$doc/"
cp "$source"/config/*.schema.json "$root/usr/share/millrace/"
head -n 1 "$source/packaging/deb/changelog" | grep -q "^millrace (${version%+test}) " ||
    die "packaging/deb/changelog does not begin with version ${version%+test}"
gzip -9nc "$source/packaging/deb/changelog" >"$doc/changelog.gz"
find "$root" -name __pycache__ -prune -exec rm -rf {} +
find "$root" -type d -exec chmod 755 {} +
find "$root" -type f -exec chmod 644 {} +
find "$root" -type f \( -path "$root/usr/bin/*" -o -name '*.sh' \) -exec chmod 755 {} +

# dpkg-shlibdeps wants to be where debian/control and debian/PACKAGE/DEBIAN are.
mkdir "$root/DEBIAN"
printf 'Source: millrace\n\nPackage: millrace\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O -e"$root/usr/bin/millrace" | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || die "dpkg-shlibdeps found no dependencies"
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@DEPENDS@/$depends/" \
    -e "s/@MAINTAINER@/${DEBFULLNAME:-The Millrace Developers} <${DEBEMAIL:-millrace@localhost}>/" \
    "$source/packaging/deb/control.in" >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$here/millrace_${version}_$arch.deb"
rm -rf "$work"
