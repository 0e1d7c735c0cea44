"""The tests that make up the contract suite, one module an operation or a promise."""
