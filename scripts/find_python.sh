#!/bin/sh
# Print the first Python of version 3.11 or newer, the plain name first. Prints nothing when there is none.
for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "$name"
        exit 0
    fi
done
exit 0
