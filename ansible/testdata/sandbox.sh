#!/bin/sh
# A machine for the role, in a folder: the programs and libraries of this one, with folders of its own for all that the role writes.
#
#   sandbox.sh make ROOT             lays it out
#   sandbox.sh run ROOT COMMAND...   runs something in it. What is mounted for that is only there for COMMAND.
set -eu
action=$1 root=$2
shift 2

# links FOLDER: all of FOLDER, as links into the real one.
links() {
	mkdir -p "$root$1"
	for path in "$1"/*; do
		ln -s "/host$path" "$root$path"
	done
}

# own PATH: a folder in the place of a link.
own() {
	rm -f "$root$1"
	mkdir -p "$root$1"
}

case $action in
make)
	mkdir -p "$root/host" "$root/proc" "$root/dev" "$root/tmp" "$root/root" "$root/run" "$root/var/lib/dpkg/info" "$root/var/log"
	cp -a /etc "$root/etc"
	links /usr
	own /usr/bin
	links /usr/bin
	own /usr/lib
	links /usr/lib
	own /usr/share
	links /usr/share
	for folder in bin sbin lib lib32 lib64 libx32; do
		if [ -h "/$folder" ]; then cp -a "/$folder" "$root/$folder"; fi
	done
	own /usr/lib/systemd
	links /usr/lib/systemd
	for folder in systemd/system sysusers.d tmpfiles.d; do
		own "/usr/lib/$folder"
	done
	# What may be installed on this machine is not on that one.
	rm -rf "$root/usr/bin/pyruse" "$root/usr/lib/pyruse.d" "$root/usr/share/pyruse" "$root/etc/pyruse" "$root/etc/pyruse.d"
	rm -rf "$root"/etc/systemd/system/pyruse*
	rm -f "$root/usr/bin/systemctl"
	cp "$(dirname "$0")/systemctl" "$root/usr/bin/systemctl"
	;;
run)
	# shellcheck disable=SC2016 # the shell inside expands it
	exec unshare --mount --propagation private sh -euc '
		root=$1
		shift
		mount --rbind / "$root/host"
		mount -o remount,bind,ro "$root/host"
		mount --rbind /proc "$root/proc"
		mount --rbind /dev "$root/dev"
		# As on many a machine, no program can be run from there.
		mount --bind "$root/tmp" "$root/tmp"
		mount -o remount,bind,noexec "$root/tmp"
		exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 ANSIBLE_PIPELINING=true "$@"
	' sh "$root" "$@"
	;;
*)
	echo "sandbox.sh: what is $action?" >&2
	exit 1
	;;
esac
