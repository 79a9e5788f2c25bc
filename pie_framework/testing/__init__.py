"""Help for the tests of plugin authors: toy components with exact answers, and conformance suites."""
