locals {
  # Of the machines with ingress = true. site.yml reads it from the output `cluster`.
  ingress_health_port = 8080

  tags = merge(var.tags, { "wasmfaas:cluster" = var.cluster_name })

  # Not every zone offers every instance type. fitting_zones offer the preferred type of every group.
  preferred_types = toset([for group in local.node_groups : group.instance_types[0]])
  all_types       = toset(flatten([for group in local.node_groups : group.instance_types]))
  offers = (
    length(var.availability_zones) > 0
    ? {}
    : { for index, zone in data.aws_ec2_instance_type_offerings.zones[0].locations :
      zone => data.aws_ec2_instance_type_offerings.zones[0].instance_types[index]...
    }
  )
  fitting_zones = [for zone in sort(keys(local.offers)) :
    zone
    if length(setsubtract(local.preferred_types, local.offers[zone])) == 0
  ]
  zones = (
    length(var.availability_zones) > 0
    ? var.availability_zones
    : slice(local.fitting_zones, 0, min(var.zone_count, length(local.fitting_zones)))
  )

  server_group = one([for name, group in local.node_groups : name if group.server])
  groups = { for name, group in local.node_groups : name => merge(group, {
    inventory_group = replace(name, "-", "_")
    image_id = (
      group.image_id != null
      ? group.image_id
      : data.aws_ssm_parameter.image[group.architecture].insecure_value
    )
    zones = slice(
      local.zones, 0, min(length(local.zones), group.zones == null ? length(local.zones) : group.zones),
    )
    labels = merge(group.labels, {
      "wasmfaas.dev/group"     = name
      "wasmfaas.dev/lifecycle" = group.spot ? "spot" : "on-demand"
    })
    # inventories/aws makes its groups from these tags.
    tags = merge(local.tags, {
      "wasmfaas:group"                            = name
      "wasmfaas:role"                             = group.server ? "server" : "agent"
      "wasmfaas:join"                             = group.autoscaled ? "self" : "ssh"
      "wasmfaas:user"                             = var.ssh_user
      "kubernetes.io/cluster/${var.cluster_name}" = "owned"
      "aws-node-termination-handler/managed"      = "true"
    })
    security_group_ids = concat(
      [module.security.group_ids["nodes"]],
      group.server ? [module.security.group_ids["servers"]] : [],
      group.ingress ? [module.security.group_ids["ingress"]] : [],
    )
    target_group_arns = merge(
      group.ingress ? { for port, arn in module.ingress.target_group_arns : "ingress-${port}" => arn } : {},
      group.server && var.api_endpoint == "load_balancer"
      ? { api = module.api_load_balancer[0].target_group_arns["api"] }
      : {},
    )
  }) }
  autoscaled_groups = { for name, group in local.groups : name => group if group.autoscaled }

  # Agents that Ansible manages, by name.
  agents = merge([for name, group in local.groups : {
    for number in range(1, group.size + 1) : "${var.cluster_name}-${name}-${number}" => {
      group = name
      zone  = group.zones[(number - 1) % length(group.zones)]
    }
  } if !group.autoscaled && !group.server]...)

  api_address = var.api_endpoint == "dns" ? aws_route53_record.api[0].name : module.api_load_balancer[0].dns_name
}
