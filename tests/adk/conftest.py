"""The tests in `inside` need another environment than this one: test_adk.py runs them there."""

collect_ignore = ["inside"]
