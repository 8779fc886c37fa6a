"""What each field of the API means: plain async functions on records. Access rules, validation, redaction.

Its modules are its API, one for each part of the schema: `model_configs`, `history`, `subscriptions`, `components`,
`sessions` and so on, with `access`, `inputs` and `errors` for what they take and raise.
"""
