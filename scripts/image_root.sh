#!/usr/bin/env bash
# Lays out the root of the image: image_root.sh PROGRAM ROOT. The program, the libraries that it asks for, certificates
# of those it talks to, a user, /tmp and the volume; no shell, nothing else. The tests run the program in such a root.
set -euo pipefail

program=$1
root=$2
user=10001

install -d "$root" "$root/etc/ssl/certs" "$root/usr/local/bin" "$root/usr/share/doc/isopleth"
install -d -m 1777 "$root/tmp"
install -d -m 750 "$root/var/lib/isopleth"
install -m 755 "$program" "$root/usr/local/bin/isopleth"

# Each library, and the loader, where the program looks for it.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
  install -D -m 755 "$(readlink -f "$library")" "$root$library"
done

cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null \
  || echo "image_root: no certificates here; HTTPS to others has those built into the program" >&2
printf 'root:x:0:0::/:/none\nisopleth:x:%s:%s::/var/lib/isopleth:/none\n' $user $user >"$root/etc/passwd"
printf 'root:x:0:\nisopleth:x:%s:\n' $user >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
if [ "$(id -u)" = 0 ]; then chown -R $user:$user "$root/var/lib/isopleth"; fi
# Times say nothing, and would make every image another.
find "$root" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +
