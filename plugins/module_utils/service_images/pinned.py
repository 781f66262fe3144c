# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the images' toolchains and base images are, kept apart from where they are downloaded.

`scripts/supply_chain.py --write` writes this file, and docs/hosted_images.md says what each was compared with.
"""

from __future__ import annotations

TOOLS: dict[str, str] = {
    "cargo-1.95.0-aarch64-unknown-linux-gnu": "7c070aeba9bbf12073646995a03f36c346bb5f541d0078ba6d9dc2a7adaaf6af",
    "cargo-1.95.0-x86_64-unknown-linux-gnu": "e74edd2cf7d0f1f1383b4f00eb90c843750bc489e2ccf7214e6476678a907425",
    "rust-std-1.95.0-aarch64-unknown-linux-gnu": "3a21b271b1ff973b94d69b25e7a39992f9fbcae1ab6d9475844a23e6ad3908ac",
    "rust-std-1.95.0-wasm32-wasip1": "86e5b6d98c7520bb9c3ad4f8cbbbf14beaf230b0f06b437db398e3c4f7dae43e",
    "rust-std-1.95.0-wasm32-wasip2": "68146eb4c887431379966efa21d75dc957f18bd1166239c1deaa53fe38cb9ab4",
    "rust-std-1.95.0-x86_64-unknown-linux-gnu": "047ea7098803d3500fa1072e9cee5392697e21525559e4458128a2bf874aa382",
    "rustc-1.95.0-aarch64-unknown-linux-gnu": "0fe3689eeaed603e5ef24572d11597d3edadaefd2cb181674ad621260f2501d2",
    "rustc-1.95.0-x86_64-unknown-linux-gnu": "8426a3d170a5879f5682f5fbdd024a1779b3951e7baba685af2d6dc32a6dfc15",
    "v0.0.1-go1.26.8.linux-amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
    "v0.0.1-go1.26.8.linux-arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
}
"""Of the archives of the builder images' toolchains, by file name without its last parts."""

BASE_IMAGES: dict[str, dict[str, str]] = {
    "python": {
        "image": "public.ecr.aws/docker/library/python:3.13-slim-bookworm",
        "digest": "sha256:01f42367a0a94ad4bc17111776fd66e3500c1d87c15bbd6055b7371d39c124fb",
    },
    "python_with_compiler": {
        "image": "public.ecr.aws/docker/library/python:3.13-bookworm",
        "digest": "sha256:62eafe52c91cad83c2c74e630bfde917da8c253673e695665d454def84fc9a13",
    },
}
"""The default base images of the service's images, by the digests of their indexes."""
