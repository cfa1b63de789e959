# Makes arrays with mdadm and copies the first 16 KiB of their members (superblock, bitmap, bad-block log) as they
# lie on the drive, in states that matter: stopped, running and dirty, degraded, being rebuilt.
# Run by hand when the fixtures are to be made anew:  scripts/lab tests/lab/mdadm-fixtures.sh IMAGE{1..9} -- DIR
set -e
fixtures=$1
modprobe raid456
modprobe raid1
keep() { dd if="$1" of="$fixtures/$2.bin" bs=16k count=1 iflag=direct status=none; }
quiet() { "$@" > /dev/null 2>&1; }

quiet mdadm --create /dev/md0 --run --assume-clean --level=5 --raid-devices=4 --chunk=64K --bitmap=internal \
  --homehost=host --name=five /dev/ubd[a-d]
dd if=/dev/urandom of=/dev/md0 bs=64k count=16 oflag=direct status=none
keep /dev/ubda raid5-dirty-0
quiet mdadm --stop /dev/md0
for i in 0 1 2 3; do keep /dev/ubd$(echo abcd | cut -c$((i + 1))) raid5-clean-$i; done

quiet mdadm --create /dev/md1 --run --assume-clean --level=1 --raid-devices=2 --bitmap=internal \
  --homehost=host --name=one /dev/ubde /dev/ubdf
dd if=/dev/urandom of=/dev/md1 bs=64k count=4 oflag=direct status=none
quiet mdadm /dev/md1 --fail /dev/ubdf
dd if=/dev/urandom of=/dev/md1 bs=64k count=64 oflag=direct status=none
quiet mdadm --stop /dev/md1
keep /dev/ubde raid1-degraded-0
keep /dev/ubdf raid1-degraded-1

quiet mdadm --create /dev/md2 --run --assume-clean --level=4 --raid-devices=3 --chunk=4K --bitmap=none \
  --homehost=host --name=four /dev/ubdg /dev/ubdh missing
echo 500 > /sys/block/md2/md/sync_speed_max
quiet mdadm /dev/md2 --add /dev/ubdi
sleep 4
echo frozen > /sys/block/md2/md/sync_action
quiet mdadm --stop /dev/md2
keep /dev/ubdg raid4-rebuilding-0
keep /dev/ubdi raid4-rebuilding-2
chmod 644 "$fixtures"/*.bin
