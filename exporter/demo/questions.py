"""What people might ask, sorted by how complex it is: `plan` draws from it for the clients that leave the model to the
sidecar. The tests hold each of these against the scorer's default rules.
"""

from __future__ import annotations

SIMPLE = (
    "What is a prompt cache?",
    "What is the capital of Portugal?",
    "Who wrote Don Quixote?",
    "When was the first transistor built?",
    "Define latency.",
    "How many bytes are in a kibibyte?",
    "Translate 'good morning' into French.",
    "What does the abbreviation GGUF stand for?",
    "Which port does a web server usually listen on?",
    "Where is the Mariana Trench?",
    "Give me a synonym for quick.",
    "Is 97 a prime number?",
)
"""A fact, a word, a number."""

MODERATE = (
    "Explain why a second request with the same beginning is answered sooner than the first one.",
    "Summarize in your own words what a reverse proxy does, and say why one would put it in front of a server.",
    "How does a histogram in Prometheus work, and why are its buckets cumulative?",
    "Explain how speculative decoding makes a language model faster, and why it sometimes does not.",
    "Describe how a load balancer finds out that a server is gone. Why does it not ask before each request?",
    "Explain the difference between time to first token and time per output token, and why both of them matter.",
    "Write a short function in Python that counts the words of a text, and say why it treats punctuation as it does.",
    "How do I find out which process listens on a port, and why would I need to be root for that?",
)
"""An explanation of a paragraph or two."""

COMPLEX = (
    "Analyze the trade-offs between one large model and three smaller ones behind a router. Compare their cost, their "
    "latency and the quality of their answers step by step, and then recommend one of them if the budget is fixed.",
    "Design an architecture for a service that answers questions about a company's documents. List the components, "
    "explain why each of them is needed, and evaluate what happens if the search index is lost.",
    "Prove that the harmonic series diverges. Then analyze, step by step, why the alternating one converges, and "
    "compare how fast the two of them grow.",
    "Debug this: a proxy loses one request in a thousand, but only if a connection has been idle for five seconds. "
    "Analyze the possible causes, compare at least three of them, and then design a test that tells them apart.",
    "Evaluate whether a hospital should run its language models on its own machines. Analyze privacy, cost and "
    "maintenance, list the risks, and explain why your conclusion would change if there were ten hospitals.",
)
"""Several things at once, with reasons."""
