# Sourced: `lasting FOLDER` hashes all of a planned run that must have the bytes of one machine's.
lasting() { (cd "$1" && find experiments artifacts reports -type f ! -name run.json ! -name 'tim*' ! -name plan.json ! -name 'table.*' ! -path '*/submit/*' ! -path '*/.*' -print0 | sort -z | xargs -0 sha256sum); }
