// Package testvm proves Pyruse on a whole machine: a Debian in qemu, with systemd as PID 1, the real journal, the real nftables, and
// reboots. Its tests have the build tag vm, because they need root, qemu and a while: `make test-vm`.
//
//	image_test.go      makes the disk, once, and keeps it
//	machine_test.go    starts qemu, takes and loads snapshots, runs commands in the machine
//	pool_test.go       the machines that serve the cases, each one case at a time
//	cases_test.go      what the cases share: the installed package, lines of sshd, attackers, what a failed case leaves behind
//	agent, frame       the program in the machine that runs the commands, and how they are sent to it
//
// Each other file has cases. Every case begins with a snapshot, so none depends on another, and as many run side by side as there are
// cores.
package testvm
