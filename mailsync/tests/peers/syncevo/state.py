#!/usr/bin/python3
"""state.py DIR: what a client or server holds, as JSON {store: {file name: text}}; octets that are not UTF-8 are escaped."""
import json
import os
import sys

root = os.path.join(sys.argv[1], 'store')
held = {}
for store in sorted(os.listdir(root)) if os.path.isdir(root) else []:
    folder = os.path.join(root, store)
    held[store] = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding='utf-8', errors='surrogateescape', newline='') as item:
            held[store][name] = item.read()
json.dump(held, sys.stdout, indent=1)
print()
