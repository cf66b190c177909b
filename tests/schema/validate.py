"""Checks documents against a JSON Schema: validate.py SCHEMA GOOD... -- BAD...

Every good one must fit, and every bad one must not. Prints what is wrong, and ends with 1 then."""
import json
import sys

from jsonschema import Draft202012Validator

schema, *rest = sys.argv[1:]
split = rest.index("--")
with open(schema, encoding="utf-8") as file:
    schema = json.load(file)
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
wrong = 0
for path, is_good in [(p, True) for p in rest[:split]] + [(p, False) for p in rest[split + 1:]]:
    with open(path, encoding="utf-8") as file:
        errors = list(validator.iter_errors(json.load(file)))
    if is_good != (not errors):
        wrong += 1
        print(path, [f"{e.json_path}: {e.message}" for e in errors] or "fits, and should not")
print(f"{split} documents fit, {len(rest) - split - 1} broken ones are told from them, {wrong} wrong")
sys.exit(wrong > 0)
