#!/bin/bash
# Ensembles of the molecules of training.smi at GFN2-xTB and 300 K, with forces: make.sh FOLDER.
# Repeat the command to go on after an interruption.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$1
mkdir -p "$out"
while read -r smiles name; do
  [ -e "$out/$name/certificate.json" ] && continue
  resume=$([ -e "$out/$name" ] && echo --resume)
  genmol sample "$smiles" -n 400 --effective 75 --potential gfn2 --workers 1 --out "$out/$name" $resume \
    || echo "$name: exit code $?"
done < "$here/training.smi"
for folder in "$out"/*/; do
  name=$(basename "$folder")
  [ -e "$folder/conformers.extxyz" ] || continue
  genmol label "$folder/conformers.extxyz" --potential gfn2 --out "$out/labels/$name" || echo "$name: exit code $?"
done
