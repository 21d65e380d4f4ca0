"""Writes the Grafana dashboards of this folder: `python -m dashboards.generator` (`--check` compares instead).

Plain Python without dependencies: queries are made from the metric catalogue (`promql`, `figures`), panels and
dashboards are small values (`panels`, `dashboard`) that turn into Grafana's classic JSON schema, and each module of
`boards` is one dashboard.
"""
