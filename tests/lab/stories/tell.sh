# Tells a story in the lab:  scripts/lab tests/lab/stories/tell.sh -- NAME
exec node --enable-source-maps dist/tests/lab/stories/tell.js "$@"
