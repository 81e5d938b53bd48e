//go:build vm

package testvm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the machine is made of. A change here, or in the agent, makes a new image.
const packages = `apt bsdutils dbus e2fsprogs exim4-daemon-light iproute2 kmod libsqlite3-0 linux-image-cloud-amd64 msmtp netcat-openbsd
	nftables openssh-client openssh-server openssl procps python3 python3-apt sqlite3 sshpass systemd systemd-sysv udev util-linux`

// Left out of the packages, so that the image is small. The documents of Pyruse itself are installed.
var excluded = []string{"/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"}

// What is in the image besides the packages.
var files = map[string]string{
	"/etc/hostname": "machine\n",
	"/etc/hosts":    "127.0.0.1 localhost machine\n::1 localhost machine\n",
	"/etc/fstab":    "/dev/vda / ext4 errors=remount-ro 0 1\n",
	// Without it, the first boot asks questions.
	"/etc/machine-id": "5b6c1e0b2f5d4a0f9a0c5f3d9a7e2c11\n",
	"/etc/systemd/network/10-lan.network": `[Match]
Name=eth0
[Network]
Address=10.0.2.15/24
IPv6AcceptRA=no
LinkLocalAddressing=no
`,
	"/etc/systemd/system/agent.service": `[Unit]
Description=Runs the commands of the tests
[Service]
ExecStart=/usr/local/sbin/agent
OOMScoreAdjust=-1000
[Install]
WantedBy=multi-user.target
`,
	// As an administrator of a single machine answers Debian's questions: mail stays here.
	"/etc/exim4/update-exim4.conf.conf": `dc_eximconfig_configtype='local'
dc_other_hostnames='machine'
dc_local_interfaces='127.0.0.1 ; ::1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
`,
	"/etc/mailname":                                "machine\n",
	"/etc/aliases":                                 "root: alice\npostmaster: root\n",
	"/etc/initramfs-tools/modules":                 "virtio_pci\nvirtio_blk\n",
	"/etc/initramfs-tools/conf.d/small":            "MODULES=list\nRESUME=none\n",
	"/etc/systemd/journald.conf.d/persistent.conf": "[Journal]\nStorage=persistent\nSyncIntervalSec=5s\n",
}

// Run in the image at the end. What boots slowly and plays no part is masked. sshd and exim are started by the cases that need them.
const finish = `set -eu
useradd -m -s /bin/bash alice
echo 'alice:correct horse' | chpasswd
systemctl enable agent.service nftables.service systemd-networkd.service
systemctl disable ssh.service
rm -f /etc/rc?.d/S??exim4
systemctl mask systemd-logind.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  exim4-base.timer fstrim.timer systemd-pstore.service systemd-firstboot.service systemd-binfmt.service systemd-repart.service \
  systemd-networkd-wait-online.service systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-pcrphase.service \
  systemd-pcrphase-sysinit.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount sys-kernel-debug.mount \
  sys-kernel-tracing.mount getty@tty1.service serial-getty@ttyS0.service systemd-hwdb-update.service 2>/dev/null
update-exim4.conf
update-initramfs -u
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/journal
mkdir -p /var/log/journal
`

const diskSize = "3G"

// An image is what qemu needs to start the machine: the kernel, its initial RAM disk, and a disk with the snapshot "ready".
type image struct{ dir string }

func (i image) kernel() string { return filepath.Join(i.dir, "vmlinuz") }
func (i image) initrd() string { return filepath.Join(i.dir, "initrd") }
func (i image) disk() string   { return filepath.Join(i.dir, "disk.qcow2") }

// makeImage returns the image for this recipe, from the cache if it was made before.
func makeImage(ctx context.Context) (image, error) {
	if os.Getuid() != 0 {
		return image{}, fmt.Errorf("the image can only be made, and its machine tested, by root")
	}
	for _, tool := range []string{"mmdebstrap", "mkfs.ext4", "qemu-img", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(tool); err != nil {
			return image{}, fmt.Errorf("the tests on a whole machine need %s: %w", tool, err)
		}
	}
	work, err := os.MkdirTemp("", "pyruse-testvm-")
	if err != nil {
		return image{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	agent := filepath.Join(work, "agent")
	if err := command(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", agent, "./agent"); err != nil {
		return image{}, err
	}
	program, err := os.ReadFile(agent)
	if err != nil {
		return image{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return image{}, err
	}
	made := image{dir: filepath.Join(cache, recipeHash(program))}
	if err := os.Chtimes(made.dir, time.Time{}, time.Now()); err == nil {
		return made, nil
	}
	logf("no image for this recipe in %s: making one, which takes about two minutes", cache)
	if err := forget(cache); err != nil {
		return image{}, err
	}
	return made, build(ctx, work, agent, made)
}

// An image takes half a GiB, and is of no use to anybody when the recipe has changed for good.
const keepUnused = 7 * 24 * time.Hour

// forget removes the images from the cache that nobody has used for a long time.
func forget(cache string) error {
	// In the folder of somebody's choice, there may be other things.
	disks, err := filepath.Glob(image{dir: filepath.Join(cache, strings.Repeat("[0-9a-f]", hashLength))}.disk())
	if err != nil {
		return err
	}
	for _, disk := range disks {
		dir := filepath.Dir(disk)
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < keepUnused {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

func cacheDir() (string, error) {
	if dir := os.Getenv("PYRUSE_VM_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "pyruse", "testvm"), err
}

// hashLength is that of an image's name, in hexadecimal digits.
const hashLength = 16

func recipeHash(agent []byte) string {
	h := sha256.New()
	// fmt prints maps in the order of their keys.
	_, _ = fmt.Fprint(h, packages, excluded, files, finish, diskSize, machineArgs(image{dir: "/"}, "/"), "\n")
	h.Write(agent)
	return hex.EncodeToString(h.Sum(nil))[:hashLength]
}

// build makes the image beside its place and moves it there when it is whole.
func build(ctx context.Context, work, agent string, made image) error {
	root, part := filepath.Join(work, "root"), image{dir: made.dir + ".part"}
	if err := os.RemoveAll(part.dir); err != nil {
		return err
	}
	if err := os.MkdirAll(part.dir, 0o755); err != nil {
		return err
	}
	args := []string{"mmdebstrap", "--quiet", "--variant=apt", "--include=" + strings.Join(strings.Fields(packages), ",")}
	for _, pattern := range excluded {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	// Clocks of test machines are often wrong.
	args = append(args, "--dpkgopt=path-include=/usr/share/doc/pyruse/*", "--dpkgopt=path-include=/usr/share/man/man?/pyruse*",
		`--aptopt=Acquire::Check-Date "false"`, "bookworm", root)
	if err := command(ctx, nil, args...); err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	raw := filepath.Join(work, "disk.raw")
	for _, step := range [][]string{
		{"install", "-m", "0755", agent, filepath.Join(root, "usr/local/sbin/agent")},
		{"chroot", root, "sh", "-c", finish},
		{"sh", "-c", `cp "$0"/boot/vmlinuz-* "$1" && cp "$0"/boot/initrd.img-* "$2"`, root, part.kernel(), part.initrd()},
		{"truncate", "-s", diskSize, raw},
		{"mkfs.ext4", "-q", "-F", "-d", root, raw},
		{"qemu-img", "convert", "-O", "qcow2", raw, part.disk()},
	} {
		if err := command(ctx, nil, step...); err != nil {
			return err
		}
	}
	if err := bootOnce(ctx, part); err != nil {
		return err
	}
	return os.Rename(part.dir, made.dir)
}

// bootOnce takes the snapshot "ready": the machine is up, and idle.
func bootOnce(ctx context.Context, i image) error {
	dir, err := os.MkdirTemp("", "pyruse-testvm-")
	if err != nil {
		return err
	}
	m, err := start(ctx, i, dir, i.disk(), "")
	if err != nil {
		return err
	}
	defer m.stop()
	if err := m.connect(ctx, bootTime); err != nil {
		return err
	}
	// It ends with an error if a unit has failed, which is then told.
	if r, err := m.ask(ctx, request("sh", "-c", "systemctl is-system-running --wait || { systemctl --failed; exit 1; }")); err != nil || r.Code != 0 {
		return fmt.Errorf("boot the new image: %w: %s", err, r.Stdout)
	}
	return m.save("ready")
}

func command(ctx context.Context, env []string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out.Bytes())
	}
	return nil
}

func TestForgetRemovesOldImagesAlone(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	old, used, other := filepath.Join(cache, "0123456789abcdef"), filepath.Join(cache, "fedcba9876543210"), filepath.Join(cache, "photographs")
	for _, dir := range []string{old, used, other} {
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(image{dir: dir}.disk(), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if dir == used {
			continue
		}
		if err := os.Chtimes(dir, time.Time{}, time.Now().Add(-2*keepUnused)); err != nil {
			t.Fatal(err)
		}
	}
	if err := forget(cache); err != nil {
		t.Fatal(err)
	}
	for dir, stays := range map[string]bool{old: false, used: true, other: true} {
		if _, err := os.Stat(dir); (err == nil) != stays {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
