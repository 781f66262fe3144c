#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_images
short_description: Make the container images of the hosted service
version_added: 1.0.0
description:
  - Makes the images of the hosted service and of its builds, and puts them into a registry or an OCI image layout.
    Needs no container engine.
  - An image is a base image with Python, a layer with each toolchain, one with the locked Python packages of
    C(requirements-service.lock), and one with the code of this collection. Its index has an image for each of the
    O(architectures), whatever this machine is.
  - An image that was made from the same base image, lock file, toolchains and code is not made again.
  - Runs on the controller.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.registry
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded, made or pushed. An image that would be made has no digest.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - pip, of the same Python
  - httpx2, packaging, PyYAML and tenacity
  - boto3, for Amazon ECR
options:
  registry:
    description:
      - Where the images are put, as C(host[:port][/path]) or C(oci:DIR). The repositories are
        C(<path>/wasmfaas/<image>).
    type: str
    required: true
  images:
    description: Names of the images. The default is all.
    type: list
    elements: str
    choices: [function-service, builder-python, builder-javascript, builder-go, builder-rust]
    default: []
  version:
    description: Tag of the images. The default is the version of this collection.
    type: str
  architectures:
    description: Architectures of the nodes.
    type: list
    elements: str
    choices: [amd64, arm64]
    default: [amd64, arm64]
  base_image:
    description:
      - Base image, as C(host/path/name@sha256:DIGEST) or C(oci:DIR@sha256:DIGEST). Its index must have all
        O(architectures). It needs Python 3.11 or later with the modules C(venv) and C(ensurepip), glibc 2.34 or later,
        C(/bin/sh), and certificate authorities.
      - The default is the official Python image for Debian 12 (C(3.13-slim-bookworm)) from Amazon's public registry.
    type: str
  compiler_base_image:
    description:
      - The same for C(builder-rust), with a C compiler that is called C(cc). The default is the official Python image
        with one (C(3.13-bookworm)).
    type: str
  base_ca_file:
    description: Path of certificate authorities to trust for the base images' registry, in addition to the system's.
    type: path
  base_plain_http:
    description: Whether to speak HTTP to the base images' registry instead of HTTPS.
    type: bool
    default: false
  go_url:
    description: Where the Go toolchain is downloaded from.
    type: str
    default: https://proxy.golang.org/golang.org/toolchain/@v
  rust_url:
    description: Where the Rust toolchain is downloaded from.
    type: str
    default: https://static.rust-lang.org/dist
  cache_directory:
    description:
      - Directory that keeps base images, toolchains and layers between runs. It may be deleted at any time.
      - The default is C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas).
    type: path
  collection_directory:
    description: Directory of the collection whose code goes into the images. Needed only where the module does not run
      in Ansible's own process.
    type: path
"""

EXAMPLES = r"""
- name: Make the images, and put them into Amazon ECR
  wasmfaas.platform.service_images:
    registry: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/demo/functions

- name: Make two of them for one architecture, in a directory
  wasmfaas.platform.service_images:
    registry: oci:./images
    images: [function-service, builder-python]
    architectures: [arm64]
"""

RETURN = r"""
summary:
  description: The outcome in one line.
  returned: success
  type: str
  sample: version 1.0.0, 5 of 5 images were made
version:
  description: The tag of the images.
  returned: success
  type: str
  sample: 1.0.0
images:
  description: Each image by its name. C(image) is its reference by digest, empty in check mode where it would be made.
    C(sizes), of an image that was made, is what a node pulls, in bytes by architecture.
  returned: success
  type: dict
  sample:
    function-service:
      changed: true
      name: registry.example.com/wasmfaas/function-service:1.0.0
      image: registry.example.com/wasmfaas/function-service@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b82…
      digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      sizes: {amd64: 64000000, arm64: 62000000}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.module_run import run_module
from ..module_utils.registry.arguments import registry_arguments
from ..module_utils.service_images.publish import run
from ..module_utils.service_images.recipes import RECIPES
from ..module_utils.service_images.tools import GO_URL, RUST_URL


def argument_spec() -> dict[str, t.Any]:
    return dict(
        registry=dict(type="str", required=True),
        images=dict(type="list", elements="str", choices=list(RECIPES), default=[]),
        version=dict(type="str"),
        architectures=dict(type="list", elements="str", choices=["amd64", "arm64"], default=["amd64", "arm64"]),
        base_image=dict(type="str"),
        compiler_base_image=dict(type="str"),
        base_ca_file=dict(type="path"),
        base_plain_http=dict(type="bool", default=False),
        go_url=dict(type="str", default=GO_URL),
        rust_url=dict(type="str", default=RUST_URL),
        **registry_arguments(),
        cache_directory=dict(type="path"),
        collection_directory=dict(type="path"),
    )


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    run_module(module, run)


if __name__ == "__main__":
    main()
