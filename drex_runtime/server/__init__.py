"""The HTTP server: OpenAI's completions over an early-exit engine."""
