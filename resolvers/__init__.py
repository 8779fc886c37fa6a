"""What each field of the API means: plain async functions on records. Access rules, validation, redaction.

Its modules are its API: `model_configs`, `model_config_import`, `subscriptions`, `api_keys`, `litellm_params`, with
`access`, `inputs` and `errors` for what they take and raise.
"""
