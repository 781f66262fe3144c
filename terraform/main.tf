# --- What AWS offers ----------------------------------------------------------------------------------------------------

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_ec2_instance_type_offerings" "zones" {
  count = length(var.availability_zones) == 0 ? 1 : 0

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = sort(tolist(local.preferred_types))
  }

  lifecycle {
    postcondition {
      condition = anytrue([for zone in distinct(self.locations) :
        length(setsubtract(
          local.preferred_types,
          [for index, location in self.locations : self.instance_types[index] if location == zone],
        ))
        == 0
      ])
      error_message = "No zone of ${var.region} has the preferred instance types of all groups: ${join(", ", sort(tolist(local.preferred_types)))}."
    }
  }
}

data "aws_ec2_instance_type" "used" {
  for_each = local.all_types

  instance_type = each.key
}

# The newest image; only new machines use it. `insecure_value`, since the id is no secret and plans hide secrets.
data "aws_ssm_parameter" "image" {
  for_each = toset([for group in local.node_groups : group.architecture if group.image_id == null])

  name = var.image_parameters[each.key]
}

# The rules of variables.tf for what node_group_changes may change.
resource "terraform_data" "node_group_changes" {
  for_each = var.node_group_changes

  lifecycle {
    precondition {
      condition     = contains(keys(var.node_groups), each.key)
      error_message = "node_group_changes: there is no group ${each.key} in node_groups; its groups are ${join(", ", keys(var.node_groups))}."
    }

    precondition {
      condition = try(
        !local.node_groups[each.key].server || contains([1, 3, 5, 7], local.node_groups[each.key].size), true,
      )
      error_message = "node_group_changes: the servers' group ${each.key} must have 1, 3, 5 or 7 machines."
    }

    precondition {
      condition = try((
        local.node_groups[each.key].autoscaled
        ? (
          local.node_groups[each.key].size == 0
          && local.node_groups[each.key].maximum >= max(1, local.node_groups[each.key].minimum)
          && local.node_groups[each.key].data_volume_gib == 0
        )
        : (
          local.node_groups[each.key].size >= 1
          && local.node_groups[each.key].minimum == 0
          && local.node_groups[each.key].maximum == 0
        )
      ), true)
      error_message = "node_group_changes: an autoscaled group has minimum and maximum (>= 1, not below minimum) and no data volume, any other has size (>= 1): see ${each.key}."
    }

    precondition {
      condition = try((
        local.node_groups[each.key].root_volume_gib >= 10
        && (
          local.node_groups[each.key].data_volume_gib > 0
          ? local.node_groups[each.key].data_volume_gib >= 12
          : local.node_groups[each.key].root_volume_gib >= 14
        )
      ), true)
      error_message = "node_group_changes: the volumes of ${each.key} are too small: root_volume_gib must be 10 or more, and data_volume_gib 12 or more, or without a data volume root_volume_gib 14 or more."
    }

    precondition {
      condition = try((
        length(distinct(local.node_groups[each.key].instance_types)) >= (local.node_groups[each.key].spot ? 3 : 1)
        && alltrue([for type in local.node_groups[each.key].instance_types :
          can(regex("^[a-z]+[0-9]+g[a-z]*\\.", type)) == (local.node_groups[each.key].architecture == "arm64")
        ])
      ), true)
      error_message = "node_group_changes: ${each.key} needs instance types of its architecture, a spot group three or more."
    }
  }
}

# The autoscaler assumes that every machine of a group has the size of its first type.
resource "terraform_data" "same_size" {
  for_each = local.node_groups

  lifecycle {
    precondition {
      condition = length(distinct([for type in each.value.instance_types : [
        data.aws_ec2_instance_type.used[type].default_vcpus,
        data.aws_ec2_instance_type.used[type].memory_size,
      ]])) == 1
      error_message = "The instance types of ${each.key} differ in size: ${join(", ", [for type in each.value.instance_types : "${type} ${data.aws_ec2_instance_type.used[type].default_vcpus} vCPU ${data.aws_ec2_instance_type.used[type].memory_size} MiB"])}."
    }
  }
}

# --- Network ----------------------------------------------------------------------------------------------------------

module "network" {
  source = "./modules/network"

  name                 = var.cluster_name
  cidr                 = var.network_cidr
  zones                = local.zones
  private              = var.private_nodes
  nat_gateway_per_zone = var.nat_gateway_per_zone
}

module "security" {
  source = "./modules/security"

  name          = var.cluster_name
  vpc_id        = module.network.vpc_id
  admin_cidrs   = var.admin_cidrs
  ingress_cidrs = var.ingress_cidrs
  cni           = var.cni

  ingress_health_port = local.ingress_health_port
}

module "ingress" {
  source = "./modules/load_balancer"

  name              = "${var.cluster_name}-ingress"
  public            = true
  vpc_id            = module.network.vpc_id
  subnet_ids        = module.network.public_subnet_ids
  security_group_id = module.security.group_ids["public_load_balancer"]

  deletion_protection = var.deletion_protection

  # Traefik's own health, which ends when its pod is told to end, while ports 80 and 443 still take requests. Port 80
  # would look healthy until it refuses connections.
  ports = { for name, port in { http = 80, https = 443 } : name => {
    port                    = port
    preserve_client_address = true
    check                   = { protocol = "HTTP", port = tostring(local.ingress_health_port), path = "/ping", matcher = "200" }
  } }
}

module "api_load_balancer" {
  source = "./modules/load_balancer"
  count  = var.api_endpoint == "load_balancer" ? 1 : 0

  name              = "${var.cluster_name}-api"
  public            = false
  vpc_id            = module.network.vpc_id
  subnet_ids        = module.network.node_subnet_ids
  security_group_id = module.security.group_ids["api_load_balancer"]

  deletion_protection = var.deletion_protection

  ports = { api = {
    port = 6443
    # A server can reach itself through the load balancer. With preserved addresses it would get packets from its own
    # address, and drop them.
    preserve_client_address = false
    # k3s answers /ping without credentials.
    check = { protocol = "HTTPS", port = "6443", path = "/ping", matcher = "200" }
  } }
}

resource "aws_route53_zone" "private" {
  count = var.api_endpoint == "dns" ? 1 : 0

  name    = "${var.cluster_name}.internal"
  comment = "Names of the cluster ${var.cluster_name}"

  vpc {
    vpc_id = module.network.vpc_id
  }
}

resource "aws_route53_record" "api" {
  count = var.api_endpoint == "dns" ? 1 : 0

  zone_id = aws_route53_zone.private[0].zone_id
  name    = "api.${var.cluster_name}.internal"
  type    = "A"
  ttl     = 10
  records = sort([for machine in module.control_plane.machines : machine.private_ip])
}

# --- Storage, images, notices -----------------------------------------------------------------------------------------

module "artifacts" {
  source = "./modules/artifacts"

  name              = var.cluster_name
  bucket_prefix     = "${var.cluster_name}-${data.aws_caller_identity.current.account_id}-${var.region}"
  autoscaled_groups = toset([for name, group in local.node_groups : name if group.autoscaled])
  snapshot_days     = var.snapshot_days
  destroy_snapshots = var.destroy_snapshots
  token_key_arn     = var.token_key_arn
}

module "audit" {
  source = "./modules/audit"
  count  = var.flow_logs != null || var.access_logs ? 1 : 0

  name      = var.cluster_name
  bucket    = "${var.cluster_name}-${data.aws_caller_identity.current.account_id}-${var.region}-audit"
  scope     = { partition = data.aws_partition.current.partition, account = data.aws_caller_identity.current.account_id }
  vpc_id    = module.network.vpc_id
  flow_logs = var.flow_logs
  days      = var.audit_days
  access_log_buckets = {
    for name in ["bundles", "snapshots"] : name => module.artifacts.bucket_names[name] if var.access_logs
  }
}

module "registry" {
  source = "./modules/registry"

  prefix             = "${var.cluster_name}/functions"
  functions          = var.functions
  pull_through_cache = { for prefix, rule in var.pull_through_cache : "${var.cluster_name}-${prefix}" => rule }
}

module "interruption_queue" {
  source = "./modules/interruption_queue"

  name = var.cluster_name
}

# --- Machines ---------------------------------------------------------------------------------------------------------

module "identity" {
  source = "./modules/identity"

  name = var.cluster_name
  scope = {
    partition = data.aws_partition.current.partition
    region    = var.region
    account   = data.aws_caller_identity.current.account_id
  }
  session_manager            = var.private_nodes
  snapshots_bucket_arn       = module.artifacts.bucket_arns["snapshots"]
  telemetry_bucket_arns      = [for name in ["logs", "traces"] : module.artifacts.bucket_arns[name]]
  interruption_queue_arn     = module.interruption_queue.arn
  function_repository_prefix = "${var.cluster_name}/functions"
  tenants                    = var.tenants
  mirror_prefixes            = toset([for prefix in keys(var.pull_through_cache) : "${var.cluster_name}-${prefix}"])
  hosted_zone_ids            = var.hosted_zone_ids
  token_key_arn              = var.token_key_arn

  groups = { for name, group in local.node_groups : name => {
    permissions = group.permissions
    join = !group.autoscaled ? null : {
      parameter_arns = [module.artifacts.bundle_parameters[name].arn, module.artifacts.token_parameters[name].arn]
      bundles_arn    = "${module.artifacts.bucket_arns["bundles"]}/bundles/${name}/*"
    }
  } }
}

resource "aws_key_pair" "administrator" {
  count = var.ssh_public_key == null ? 0 : 1

  key_name   = var.cluster_name
  public_key = var.ssh_public_key
}

module "control_plane" {
  source = "./modules/control_plane"

  name = "${var.cluster_name}-${local.server_group}"
  size = local.groups[local.server_group].size
  subnets = [for zone in local.groups[local.server_group].zones :
    { zone = zone, id = module.network.node_subnet_ids[zone] }
  ]

  machine = {
    image_id              = local.groups[local.server_group].image_id
    instance_type         = local.groups[local.server_group].instance_types[0]
    security_group_ids    = local.groups[local.server_group].security_group_ids
    instance_profile_name = module.identity.instance_profile_names[local.server_group]
    key_name              = one(aws_key_pair.administrator[*].key_name)
    public_address        = !var.private_nodes
    root_volume_gib       = local.groups[local.server_group].root_volume_gib
    data_volume_gib       = local.groups[local.server_group].data_volume_gib
    metadata_hop_limit    = local.groups[local.server_group].metadata_hop_limit
    target_group_arns     = local.groups[local.server_group].target_group_arns
    deletion_protection   = var.deletion_protection
    tags                  = local.groups[local.server_group].tags
  }
}

# Machines of the other groups that are not autoscaled.
module "agent" {
  source   = "./modules/machine"
  for_each = local.agents

  name                  = each.key
  zone                  = each.value.zone
  subnet_id             = module.network.node_subnet_ids[each.value.zone]
  image_id              = local.groups[each.value.group].image_id
  instance_type         = local.groups[each.value.group].instance_types[0]
  security_group_ids    = local.groups[each.value.group].security_group_ids
  instance_profile_name = module.identity.instance_profile_names[each.value.group]
  key_name              = one(aws_key_pair.administrator[*].key_name)
  public_address        = !var.private_nodes
  root_volume_gib       = local.groups[each.value.group].root_volume_gib
  data_volume_gib       = local.groups[each.value.group].data_volume_gib
  metadata_hop_limit    = local.groups[each.value.group].metadata_hop_limit
  target_group_arns     = local.groups[each.value.group].target_group_arns
  tags                  = local.groups[each.value.group].tags
}

module "node_group" {
  source   = "./modules/node_group"
  for_each = local.autoscaled_groups

  name                  = var.cluster_name
  group                 = each.key
  image_id              = each.value.image_id
  instance_types        = each.value.instance_types
  spot                  = each.value.spot
  minimum               = each.value.minimum
  maximum               = each.value.maximum
  subnet_ids            = [for zone in each.value.zones : module.network.node_subnet_ids[zone]]
  security_group_ids    = each.value.security_group_ids
  instance_profile_name = module.identity.instance_profile_names[each.key]
  key_name              = one(aws_key_pair.administrator[*].key_name)
  public_address        = !var.private_nodes
  root_device_name      = var.root_device_name
  root_volume_gib       = each.value.root_volume_gib
  metadata_hop_limit    = each.value.metadata_hop_limit
  target_group_arns     = values(each.value.target_group_arns)
  labels                = each.value.labels
  taints                = each.value.taints
  tags                  = each.value.tags

  join = {
    bucket           = module.artifacts.bucket_names["bundles"]
    bundle_parameter = module.artifacts.bundle_parameters[each.key].name
    token_parameter  = module.artifacts.token_parameters[each.key].name
    server           = "https://${local.api_address}:6443"
    seconds          = var.join_seconds
  }
}

# --- For site.yml -----------------------------------------------------------------------------------------------------

# The output `cluster` again, for readers that have access to AWS but not to the state.
resource "aws_ssm_parameter" "cluster" {
  name        = "/wasmfaas/${var.cluster_name}/cluster"
  description = "What site.yml needs to know of the machines: Terraform's output cluster"
  type        = "String"
  tier        = "Intelligent-Tiering" # over 4 KiB it costs 5 cents a month
  value       = jsonencode(local.cluster)
}
