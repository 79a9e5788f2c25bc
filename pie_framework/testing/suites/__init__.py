"""The conformance suites, one file per kind of component; `pie_framework.testing.conformance` offers them all."""
