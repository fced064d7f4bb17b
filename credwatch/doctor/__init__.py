"""Does credwatch record here, and does what it records arrive: `credwatch doctor`.

`model` holds the records, `edges` the world outside (this Python or another process's, the network),
`checks` the rules, pure, `command` options, words and exit code. Changes nothing, prints no secret.
"""
