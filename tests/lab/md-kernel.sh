# The kernel's word on arrays that are given as images, a group of members each:
#
#   md-kernel.sh [write|recheck|resync|refuse] COUNT ...
#
#   write     assemble, write all over it, let the kernel check every stripe, stop
#   recheck   assemble, check, stop
#   resync    assemble (the kernel resyncs what the bitmap marks), check, stop
#   refuse    assembling must fail
#
# Answers for group g: state-g, mismatches-g, bitmap-g (bits and dirty bits as mdadm reads them), size-g, and digest-g, the
# SHA-256 of the whole array before it is stopped.
set -e
mode=$1
shift
modprobe raid1
modprobe raid456
# `mdadm --wait` looks only every few seconds.
settle() { until [ "$(cat $sys/sync_action)" = idle ]; do sleep 0.05; done; }
# Behind a resync md says idle a moment before it takes the next word.
check() {
  for ((tries = 0; tries < 200; tries++)); do
    if echo check 2> /dev/null > $sys/sync_action; then return 0; fi
    sleep 0.05
    settle
  done
  echo "md$group takes no check: $(cat $sys/sync_action)" >&2
  return 1
}
letters=abcdefghijklmnop
next=0
group=0
for count in "$@"; do
  drives=()
  for ((i = 0; i < count; i++)); do drives+=("/dev/ubd${letters:next+i:1}"); done
  next=$((next + count))
  md=/dev/md$group
  sys=/sys/block/md$group/md
  echo "bitmap-$group=$(mdadm --examine-bitmap "${drives[0]}" | sed -n 's/^ *Bitmap : //p')"
  if [ "$mode" = refuse ]; then
    if mdadm --assemble --run $md "${drives[@]}"; then echo "state-$group=assembled"; else echo "state-$group=refused"; fi
    group=$((group + 1))
    continue
  fi
  mdadm --assemble $md "${drives[@]}"
  # Until the first write md holds a resync back; waiting for it would take for ever.
  [ "$mode" != resync ] || mdadm --readwrite $md
  settle
  echo "size-$group=$(($(cat /sys/block/md$group/size) * 512))"
  if [ "$mode" = write ]; then
    size=$(($(cat /sys/block/md$group/size) / 8))
    # Large and small pieces everywhere: full stripes, reconstruct-writes and read-modify-writes.
    dd if=/dev/urandom of=$md bs=1M count=16 oflag=direct status=none
    for ((i = 0; i < 24; i++)); do
      dd if=/dev/urandom of=$md bs=4k count=$((RANDOM % 5 + 1)) seek=$(((RANDOM * 32768 + RANDOM) % (size - 5))) \
        oflag=direct conv=notrunc status=none
    done
  fi
  check
  settle
  echo "mismatches-$group=$(cat $sys/mismatch_cnt)"
  echo "state-$group=$(cat $sys/array_state) $(cat $sys/degraded)"
  echo "digest-$group=$(sha256sum < $md | cut -d' ' -f1)"
  mdadm --stop $md
  group=$((group + 1))
done
