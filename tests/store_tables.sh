# Sourced by `object_store.sh`: tables that lie in the store. A grid on three Parquet partitions and a gzipped CSV there has the
# bytes of one on the same files here, in memory and within a budget that moves columns and bins to disk; `plan` keeps the same table,
# `eda` says the same; what cannot be read is refused by exit code, and no partition is left behind.
cat > tables.py <<'PYTHON'
"""cut CSV FOLDER N: its rows as N Parquet files. put URL FILE..: objects below it."""
import os, pathlib, sys

what, first, *rest = sys.argv[1:]
if what == "cut":
    import pyarrow.csv, pyarrow.parquet
    rows, n = pyarrow.csv.read_csv(first, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True)), int(rest[1])
    for at in range(n):
        of = rows.slice(at * rows.num_rows // n, (at + 1) * rows.num_rows // n - at * rows.num_rows // n)
        pyarrow.parquet.write_table(of, f"{rest[0]}/part-{at}.parquet", row_group_size=max(1, of.num_rows // 2))
    sys.exit()
import boto3
bucket, key = first.removeprefix("s3://").split("/", 1)
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
for file in rest: s3.put_object(Bucket=bucket, Key=f"{key}/{pathlib.Path(file).name}", Body=pathlib.Path(file).read_bytes())
PYTHON
tables() { venv/bin/python tables.py "$@"; }
config_of() { # transactions, identities: a grid of forests alone, also without the baseline, which needs a matrix in memory
  sed "s#data/train_transaction.csv#$1#; s#data/train_identity.csv#$2#; /mlp/d; s/raw, //" config.yaml
}
# What lasts, by content; where its text names the tables, as if they lay here.
kept() {
  (
    cd "$1"
    find experiments artifacts reports -type f ! -name run.json ! -name config.yaml ! -name 'tim*' ! -name plan.json ! -name 'table.*' ! -path '*/.*' | sort | while read -r file; do
      echo "$file $(sed 's#s3://runs/tables/#parts/#g' "$file" | sha256sum)"
    done
  )
}
alike() { diff <(kept tables/here) <(kept "$1") || { echo "$1: not what the files here gave"; exit 1; }; }
# With temporary files in a folder that must be empty afterwards.
temporary=$PWD/tables/temporary
there() { env TMPDIR="$temporary" "$fraudml" "$@" --no-progress; }
refused() { # expected exit code, what is said, transactions, what else `env` shall do
  config_of "$3" "s3://runs/tables/train_identity.csv.gz" > tables/refused.yaml
  (cd tables/refused && ends "$1" "$2" env "${@:4}" TMPDIR="$temporary" "$fraudml" train --config ../refused.yaml --no-progress)
}

rm -rf tables && mkdir -p tables/{parts,other,here,there,tight,refused,temporary}
tables cut gone/train_transaction.csv tables/parts 3
gzip -c gone/train_identity.csv > tables/parts/train_identity.csv.gz
tables put s3://runs/tables tables/parts/*
config_of 'parts/part-*.parquet' parts/train_identity.csv.gz > tables/here/config.yaml
config_of 's3://runs/tables/part-*.parquet' s3://runs/tables/train_identity.csv.gz > tables/there.yaml
ln -s ../parts tables/here/parts
(cd tables/here && "$fraudml" train --config config.yaml --quiet --no-progress > /dev/null)
(cd tables/there && there train --config ../there.yaml --quiet > /dev/null)
alike tables/there
(cd tables/tight && ends 0 'exceed the budget and lie on disk' there train --config ../there.yaml --memory-budget 1MiB)
alike tables/tight
echo "tables in the store, in memory and on disk: the same bytes"

for folder in here there; do
  (cd tables/$folder && config=$([ $folder = here ] && echo config.yaml || echo ../there.yaml) && there plan --config "$config" --quiet && there eda --config "$config" --quiet > /dev/null)
done
cmp tables/here/experiments/*/table.parquet tables/there/experiments/*/table.parquet
alike tables/there
(cd tables/there && ends 0 '3 files, .* the largest' there doctor --config ../there.yaml)
echo "planned and explored in the store: the same table, the same page"

bundle=$(ls -d tables/here/artifacts/*)
"$fraudml" predict --bundle "$bundle" tables/parts/part-1.parquet tables/parts/train_identity.csv.gz --output tables/scores-here.csv --quiet
there predict --bundle "$bundle" s3://runs/tables/part-1.parquet s3://runs/tables/train_identity.csv.gz --output tables/scores-there.csv --quiet
cmp tables/scores-here.csv tables/scores-there.csv
echo "rows in the store scored: the same scores"

for bad in cut header; do tables put s3://runs/$bad tables/parts/part-[02].parquet; done
head -c 20000 tables/parts/part-1.parquet > tables/other/part-1.parquet
tables put s3://runs/cut tables/other/part-1.parquet
cut -d, -f1-9 gone/train_transaction.csv > tables/fewer.csv
tables cut tables/fewer.csv tables/other 2
tables put s3://runs/header tables/other/part-1.parquet
refused 2 'no object has such a name' 's3://runs/tables/part-*.csv'
refused 2 'part-9.parquet. is not there' 's3://runs/tables/part-9.parquet'
refused 2 'no-such-bucket.* the bucket does not exist' 's3://no-such-bucket/part-*.parquet'
refused 2 'no-such-bucket.* the bucket does not exist' 's3://no-such-bucket/part-1.parquet'
refused 2 's3://runs/cut/part-1.parquet. can.t be read as Parquet' 's3://runs/cut/part-*.parquet'
refused 2 's3://runs/header/part-1.parquet.: expected the header of .s3://runs/header/part-0.parquet' 's3://runs/header/part-*.parquet'
refused 2 'holds more than bucket and name' 's3://name:not-a-secret@runs/part-1.parquet'
refused 2 'no credentials' 's3://runs/tables/part-*.parquet' -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_METADATA_ENDPOINT=http://127.0.0.1:1
refused 75 'away or busy' 's3://runs/tables/part-*.parquet' AWS_ENDPOINT_URL=http://127.0.0.1:1
[ -z "$(ls -A tables/temporary)" ] || { echo "left behind: $(ls -A tables/temporary)"; exit 1; }
[ -z "$(find tables/refused/experiments -type f)" ] || { echo "left behind: $(find tables/refused/experiments -type f)"; exit 1; }
echo "tables that can't be read: told apart by exit code, nothing left behind"
