#!/bin/bash
# check.sh: exit 0 when libwbxml's wbxml2xml and xml2wbxml are installed (a second codec to compare ours with), else 1.
for tool in wbxml2xml xml2wbxml; do
  command -v $tool >/dev/null || { echo "libwbxml: missing $tool" >&2; exit 1; }
done
