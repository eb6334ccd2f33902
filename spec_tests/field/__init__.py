"""The field: frameworks as their users have them, held to the spec, each a small module on its public API."""
