# Tells a story in the lab:  scripts/lab tests/lab/stories/tell.sh -- NAME
# No udev runs there: dmsetup makes its nodes itself.
export DM_DISABLE_UDEV=1
exec node --enable-source-maps dist/tests/lab/stories/tell.js "$@"
