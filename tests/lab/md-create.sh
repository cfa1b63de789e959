# Arrays as mdadm makes them by default, written to and stopped: RAID 5 of 4, RAID 1 of 2, RAID 4 of 3, without bitmap
# RAID 5 of 3. Answers digest-0 to digest-3, the SHA-256 of each.
set -e
modprobe raid1
modprobe raid456
options='--run --assume-clean --homehost=lab'
mdadm --create /dev/md0 $options --name=five --level=5 --raid-devices=4 --bitmap=internal /dev/ubd[a-d]
mdadm --create /dev/md1 $options --name=one --level=1 --raid-devices=2 --bitmap=internal /dev/ubd[ef]
mdadm --create /dev/md2 $options --name=four --level=4 --raid-devices=3 --chunk=64 --bitmap=internal /dev/ubd[ghi]
mdadm --create /dev/md3 $options --name=bare --level=5 --raid-devices=3 --bitmap=none /dev/ubd[jkl]
for md in 0 1 2 3; do
  dd if=/dev/urandom of=/dev/md$md bs=1M count=8 oflag=direct status=none
  echo "digest-$md=$(sha256sum < /dev/md$md | cut -d' ' -f1)"
  mdadm --stop /dev/md$md
done
