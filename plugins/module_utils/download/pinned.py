# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of what the default versions of binaries and charts are, kept apart from where they are downloaded.

`scripts/supply_chain.py --write` writes this file. "" stands for a checksum that nobody has recorded yet: of such a
binary the list of its own release counts, and such a chart is not compared.
"""

from __future__ import annotations

BINARIES: dict[str, dict[str, str]] = {
    "k3s v1.36.4+k3s1": {
        "amd64": "835873f37245fc615f547a2fe2af9402a347875f13fa64a1f136de644955ea3f",
        "arm64": "c920706346d5ad4e5cd3c7bf1bb09ce71ebe07fec829e513e40f1caf98aed8bb",
    },
    "k3s-airgap-images.tar.zst v1.36.4+k3s1": {
        "amd64": "9024613e2d468c51ba0e5ba21898604c41339354449fb3338cc6a7931189eb6a",
        "arm64": "9d3c4c2197bcf857ca17633aa393bad683cc982ddd408620f93036a3cca953b5",
    },
}
"""Of the file that is downloaded, by name and version, and architecture."""

CHARTS: dict[str, str] = {
    "aws-cloud-controller-manager 0.0.11": "3da2227e83bce236b8278903fb87ad0bc33c5d4da8e5dd521b974ec0c740886f",
    "aws-ebs-csi-driver 2.64.0": "",
    "aws-load-balancer-controller 3.5.0": "45051f634b33e10baccb3354d0681b7de787c60445e599fa276e0c9aedd4ccd5",
    "aws-node-termination-handler 0.27.6": "",
    "cert-manager v1.21.1": "",
    "cluster-autoscaler 9.59.0": "90276dafe65cf5d4328ef8313baf6cfb9d130683e0c9f3c28a03b4d8a9ed8f6e",
    "keda 2.20.2": "db60b1fa60f0565fefa4ce2f87e855b6a8854363ee82962fbe28a12a70d64c4c",
    "keda-add-ons-http 0.15.0": "dddb21bd400877ce0d474e4a51e890bc257d6c8c73b56ccd8ec4f7a7590e2001",
    "kube-prometheus-stack 88.5.3": "",
    "loki 18.11.0": "",
    "opentelemetry-collector 0.170.0": "ed140b332233075c7fd15eaebba571fdf100926f08c0a5a274c7b32895315137",
    "spin-operator 0.6.1": "",
    "tempo 2.2.4": "",
    "traefik 41.3.0": "",
    "zot 0.1.122": "",
}
"""Of the archive (.tgz), by name and version."""
