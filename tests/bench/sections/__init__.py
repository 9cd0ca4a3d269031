# SPDX-License-Identifier: MIT
"""The benchmark's parts: each gives tables of rows."""
