# The kernel's own NBD client and a file system on it: a server in the lab, mkfs, mount, write, a window with a second
# failure under the mounted file system, fsck. Answers: fsck (exit status), files (how many of them read back right).
set -e
repository=$(pwd)
locum=$repository/bin/locum
modprobe nbd
modprobe ext4
mkdir /dev/shm/lab /dev/shm/lab/state /dev/shm/lab/mnt
cd /dev/shm/lab
export LOCUM_STATE=$PWD/state
"$locum" serve > server.log 2>&1 &
server=$!
trap 'cat server.log; kill $server' ERR
until [ -S state/control.sock ]; do sleep 0.2; done
"$locum" volume create tank --level 5 --drive d0 --drive d1 --drive d2 --drive d3 --image-size 24MiB \
  --log l0 --log l1 --log-size 32MiB
nbd-client -unix "$PWD/state/nbd.sock" -N tank -b 512 /dev/nbd0
mkfs.ext4 -q /dev/nbd0
mount /dev/nbd0 mnt
put() { for i in 1 2 3 4 5 6; do head -c $((RANDOM * 20)) /dev/urandom > "mnt/$1-$i"; done; sync; }
put before
"$locum" window open tank 1 --for firmware
put away
rm d3
until "$locum" status tank -o json | grep -q '"failed"'; do sleep 0.5; done
put second
(cd mnt && sha256sum *-* > ../sums)
"$locum" window close tank --wait
put after
umount mnt
if fsck.ext4 -fn /dev/nbd0; then echo fsck=0; else echo fsck=$?; fi
blockdev --flushbufs /dev/nbd0
mount -o ro /dev/nbd0 mnt
(cd mnt && echo "files=$(sha256sum -c ../sums | grep -c ': OK$')")
umount mnt
nbd-client -d /dev/nbd0
"$locum" volume stop tank
kill $server
wait $server
