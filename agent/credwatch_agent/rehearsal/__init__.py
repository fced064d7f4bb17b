"""Before production: what tests call, held against the policy that the code will run with.

`plugin` is what pytest loads, and imports nothing until one of its options is given; `session` hooks botocore and
pytest; `calls` is what was recorded and its file, `verdict` what a policy says of it, both pure.
"""
