locals {
  # All machines have `nodes`; servers also have `servers`, and machines behind the public load balancer `ingress`.
  groups = {
    nodes                = "All machines of the cluster"
    servers              = "k3s servers"
    ingress              = "Machines that take the traffic of the public load balancer"
    public_load_balancer = "Public load balancer"
    api_load_balancer    = "Private load balancer of the Kubernetes API"
  }

  # --- Who may reach what, from another of these groups or from a network ---------------------------------------------
  # Ports: https://docs.k3s.io/installation/requirements#inbound-rules-for-k3s-nodes
  pod_networks = {
    vxlan            = { pod_network = { protocol = "udp", from = 8472, to = 8472, reason = "flannel VXLAN" } }
    wireguard-native = { pod_network = { protocol = "udp", from = 51820, to = 51820, reason = "flannel WireGuard" } }
    cilium = {
      pod_network   = { protocol = "udp", from = 8472, to = 8472, reason = "Cilium VXLAN" }
      cilium_health = { protocol = "tcp", from = 4240, to = 4240, reason = "Cilium health checks" }
      hubble        = { protocol = "tcp", from = 4244, to = 4244, reason = "Hubble relay" }
    }
  }
  between_nodes = merge(local.pod_networks[var.cni], {
    kubelet       = { protocol = "tcp", from = 10250, to = 10250, reason = "kubelet: logs, exec, metrics" }
    node_exporter = { protocol = "tcp", from = 9100, to = 9100, reason = "Prometheus node exporter" }
    image_mirror = {
      protocol = "tcp"
      from     = 5001
      to       = 5001
      reason   = "k3s embedded registry: images from the neighbours"
    }
  })
  between_groups = merge(
    { for name, rule in local.between_nodes : name => merge(rule, { group = "nodes", source = "nodes" }) },
    {
      api = {
        group    = "servers"
        source   = "nodes"
        protocol = "tcp"
        from     = 6443
        to       = 6443
        reason   = "Kubernetes API and k3s supervisor"
      }
      etcd = { group = "servers", source = "servers", protocol = "tcp", from = 2379, to = 2380, reason = "etcd" }
      etcd_metrics = {
        group    = "servers"
        source   = "nodes"
        protocol = "tcp"
        from     = 2381
        to       = 2381
        reason   = "Prometheus: metrics of etcd"
      }
      api_to_load_balancer = {
        group    = "api_load_balancer"
        source   = "nodes"
        protocol = "tcp"
        from     = 6443
        to       = 6443
        reason   = "Machines of the cluster"
      }
      api_from_load_balancer = {
        group    = "servers"
        source   = "api_load_balancer"
        protocol = "tcp"
        from     = 6443
        to       = 6443
        reason   = "From the private load balancer"
      }
    },
    {
      ingress_health = {
        group    = "ingress"
        source   = "public_load_balancer"
        protocol = "tcp"
        from     = var.ingress_health_port
        to       = var.ingress_health_port
        reason   = "Health checks of the public load balancer"
      }
    },
    # The source is the load balancer's group. It matches although targets see the clients' addresses, and nobody can
    # bypass the load balancer.
    { for name, port in local.public_ports :
      "ingress_${name}" => {
        group    = "ingress"
        source   = "public_load_balancer"
        protocol = "tcp"
        from     = port
        to       = port
        reason   = "From the public load balancer"
      }
    },
  )

  public_ports = { http = 80, https = 443 }
  from_networks = merge(
    { for cidr in var.admin_cidrs :
      "ssh ${cidr}" => { group = "nodes", cidr = cidr, port = 22, reason = "SSH for administrators" }
    },
    { for cidr in var.admin_cidrs :
      "api ${cidr}" => { group = "servers", cidr = cidr, port = 6443, reason = "Kubernetes API for administrators" }
    },
    merge([for name, port in local.public_ports :
      { for cidr in var.ingress_cidrs :
        "${name} ${cidr}" => {
          group  = "public_load_balancer"
          cidr   = cidr
          port   = port
          reason = "Requests to functions"
        }
      }
    ]...),
  )

  # A load balancer may only send to the groups that let it in; this includes its health checks.
  from_load_balancers = { for name, rule in local.between_groups :
    name => rule
    if contains(["public_load_balancer", "api_load_balancer"], rule.source)
  }
}

resource "aws_security_group" "this" {
  for_each = local.groups

  name        = "${var.name}-${replace(each.key, "_", "-")}"
  description = each.value
  vpc_id      = var.vpc_id

  # Only one of a machine's groups may have the cluster's tag: the load balancer controller refuses to choose.
  tags = merge(
    { Name = "${var.name}-${replace(each.key, "_", "-")}" },
    each.key == "nodes" ? { "kubernetes.io/cluster/${var.name}" = "owned" } : {},
  )
}

resource "aws_vpc_security_group_ingress_rule" "group" {
  for_each = local.between_groups

  security_group_id            = aws_security_group.this[each.value.group].id
  referenced_security_group_id = aws_security_group.this[each.value.source].id
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from
  to_port                      = each.value.to
  description                  = each.value.reason
}

resource "aws_vpc_security_group_ingress_rule" "network" {
  for_each = local.from_networks

  security_group_id = aws_security_group.this[each.value.group].id
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = each.value.reason
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  for_each = local.from_load_balancers

  security_group_id            = aws_security_group.this[each.value.source].id
  referenced_security_group_id = aws_security_group.this[each.value.group].id
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from
  to_port                      = each.value.to
  description                  = "To the machines, health checks included"
}

# Images, packages and the APIs of AWS are on the internet and have no fixed addresses.
resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id = aws_security_group.this["nodes"].id
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  description       = "Everything out"
}
