# SPDX-License-Identifier: MIT
"""The laboratory: real Debian kernels in small QEMU guests."""
