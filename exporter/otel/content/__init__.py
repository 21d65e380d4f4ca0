"""Prompts and answers as span attributes, where somebody has switched that on: requests in, answers in, JSON out."""
