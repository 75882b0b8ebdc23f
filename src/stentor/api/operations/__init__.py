"""What the API can do: a module for each kind of thing. They hold no rules: they parse, call `Stentor`, and answer."""
