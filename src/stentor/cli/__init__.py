"""The command line: parse, call, render. It holds no rules of its own."""
