# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenario `aws_journey` walks docs/aws.md with: an AWS whose API is moto and whose machines are test hosts
(cloud.py), the load balancers (load_balancer.py), what runs in the cluster (cluster_parts.py), and the reader of the
page (reader.py). README.md says what is real and what is played."""
