# Which machine gets which group: all `nodes`, servers also `servers`, those behind the public load balancer also `ingress`.
# Ports: https://docs.k3s.io/installation/requirements#inbound-rules-for-k3s-nodes
locals {
  cni_rules = {
    vxlan            = { pod_network = { protocol = "udp", from = 8472, to = 8472, reason = "flannel VXLAN" } }
    wireguard-native = { pod_network = { protocol = "udp", from = 51820, to = 51820, reason = "flannel WireGuard" } }
    cilium = {
      pod_network   = { protocol = "udp", from = 8472, to = 8472, reason = "Cilium VXLAN" }
      cilium_health = { protocol = "tcp", from = 4240, to = 4240, reason = "Cilium health checks" }
      hubble        = { protocol = "tcp", from = 4244, to = 4244, reason = "Hubble relay" }
    }
  }
  # From every machine of the cluster to every other.
  node_rules = merge(local.cni_rules[var.cni], {
    kubelet       = { protocol = "tcp", from = 10250, to = 10250, reason = "kubelet: logs, exec, metrics" }
    node_exporter = { protocol = "tcp", from = 9100, to = 9100, reason = "Prometheus node exporter" }
    image_mirror  = { protocol = "tcp", from = 5001, to = 5001, reason = "k3s embedded registry: images from the neighbours" }
  })

  admin_rules = merge(
    { for cidr in var.admin_cidrs : "ssh ${cidr}" => { group = "nodes", cidr = cidr, port = 22, reason = "SSH for administrators" } },
    { for cidr in var.admin_cidrs : "api ${cidr}" => { group = "servers", cidr = cidr, port = 6443, reason = "Kubernetes API for administrators" } },
  )
  groups = { nodes = aws_security_group.nodes, servers = aws_security_group.servers }
}

# The one group of a machine with the cluster's tag: the load balancer controller refuses to choose between two.
resource "aws_security_group" "nodes" {
  name        = "${var.name}-nodes"
  description = "All machines of the cluster"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-nodes", "kubernetes.io/cluster/${var.name}" = "owned" }
}

resource "aws_security_group" "servers" {
  name        = "${var.name}-servers"
  description = "k3s servers"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-servers" }
}

resource "aws_security_group" "ingress" {
  name        = "${var.name}-ingress"
  description = "Machines that take the traffic of the public load balancer"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-ingress" }
}

resource "aws_security_group" "public_load_balancer" {
  name        = "${var.name}-public-load-balancer"
  description = "Public load balancer"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-public-load-balancer" }
}

resource "aws_security_group" "api_load_balancer" {
  name        = "${var.name}-api-load-balancer"
  description = "Private load balancer of the Kubernetes API"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-api-load-balancer" }
}

# --- Between the machines ----------------------------------------------------------------------------------------------------

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  for_each = local.node_rules

  security_group_id            = aws_security_group.nodes.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from
  to_port                      = each.value.to
  description                  = each.value.reason
}

resource "aws_vpc_security_group_ingress_rule" "api_from_nodes" {
  security_group_id            = aws_security_group.servers.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = 6443
  to_port                      = 6443
  description                  = "Kubernetes API and k3s supervisor"
}

resource "aws_vpc_security_group_ingress_rule" "etcd" {
  security_group_id            = aws_security_group.servers.id
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 2379
  to_port                      = 2380
  description                  = "etcd"
}

# Images, packages and AWS itself are on the internet, at no fixed addresses.
resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id = aws_security_group.nodes.id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  description       = "Everything out"
}

# --- Administrators ----------------------------------------------------------------------------------------------------------

resource "aws_vpc_security_group_ingress_rule" "administrators" {
  for_each = local.admin_rules

  security_group_id = local.groups[each.value.group].id
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = each.value.reason
}

# --- Load balancers ----------------------------------------------------------------------------------------------------------

resource "aws_vpc_security_group_ingress_rule" "public" {
  for_each = { for pair in setproduct(var.ingress_cidrs, [80, 443]) : "${pair[0]} ${pair[1]}" => { cidr = pair[0], port = pair[1] } }

  security_group_id = aws_security_group.public_load_balancer.id
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = "Requests to functions"
}

resource "aws_vpc_security_group_egress_rule" "public" {
  for_each = toset(["80", "443"])

  security_group_id            = aws_security_group.public_load_balancer.id
  referenced_security_group_id = aws_security_group.ingress.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
  description                  = "To the ingress, health checks too"
}

# By the load balancer's group and not by address: it holds although clients keep theirs, and nobody gets past the load balancer.
resource "aws_vpc_security_group_ingress_rule" "ingress" {
  for_each = toset(["80", "443"])

  security_group_id            = aws_security_group.ingress.id
  referenced_security_group_id = aws_security_group.public_load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = tonumber(each.key)
  to_port                      = tonumber(each.key)
  description                  = "From the public load balancer"
}

resource "aws_vpc_security_group_ingress_rule" "api_load_balancer" {
  security_group_id            = aws_security_group.api_load_balancer.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = 6443
  to_port                      = 6443
  description                  = "Machines of the cluster"
}

resource "aws_vpc_security_group_egress_rule" "api_load_balancer" {
  security_group_id            = aws_security_group.api_load_balancer.id
  referenced_security_group_id = aws_security_group.servers.id
  ip_protocol                  = "tcp"
  from_port                    = 6443
  to_port                      = 6443
  description                  = "To the servers, health checks too"
}

resource "aws_vpc_security_group_ingress_rule" "api_from_load_balancer" {
  security_group_id            = aws_security_group.servers.id
  referenced_security_group_id = aws_security_group.api_load_balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 6443
  to_port                      = 6443
  description                  = "From the private load balancer"
}
