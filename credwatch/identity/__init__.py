"""Which credential source would a process use, and why: `credwatch whoami` and `credwatch.whoami()`.

The room is named after what it returns: a submodule `credwatch.whoami` would replace the function
of that name. `model` holds the records, `edges` the world outside (environment, disk, network),
`profiles`, `metadata`, `providers` and `chain` what botocore would find in it, `diagnose` what is
wrong with that, `render` the words, `ask` the entrance. Nothing here runs a command of the user,
assumes a role, or lets a secret into a record that is printed.
"""
