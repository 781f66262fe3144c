locals {
  registry_host = join(".", [
    data.aws_caller_identity.current.account_id, "dkr.ecr", var.region, data.aws_partition.current.dns_suffix,
  ])
  machines = merge(
    { for name, machine in module.control_plane.machines : name => merge(machine, { group = local.server_group }) },
    { for name, machine in module.agent : name => merge(machine, { group = local.agents[name].group }) },
  )

  cluster = {
    name   = var.cluster_name
    region = var.region
    vpc_id = module.network.vpc_id
    api = {
      address = local.api_address
      port    = 6443
      # Names and addresses that the API's certificate must hold.
      certificate_names = concat(
        [local.api_address],
        # By which administrators come in. Without public addresses that is a forwarded port of their own machine.
        var.private_nodes
        ? ["127.0.0.1"]
        : sort([for machine in module.control_plane.machines : machine.public_ip]),
      )
    }
    ingress = {
      addresses     = [for zone in local.zones : module.ingress.addresses[zone]]
      domain        = "${module.ingress.addresses[local.zones[0]]}.nip.io"
      load_balancer = module.ingress.dns_name
      health_port   = local.ingress_health_port
    }
    registry = {
      host      = local.registry_host
      functions = "${local.registry_host}/${var.cluster_name}/functions"
      mirrors   = { for prefix, rule in var.pull_through_cache : rule.upstream => "${var.cluster_name}-${prefix}" }
    }
    buckets            = module.artifacts.bucket_names
    interruption_queue = module.interruption_queue.url
    # The autoscaler finds its scaling groups by these tags.
    autoscaler_tags = ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/${var.cluster_name}"]
    hosted_zone_ids = sort(tolist(var.hosted_zone_ids))
    node_groups = { for name, group in local.groups : name => merge(
      {
        inventory_group = group.inventory_group
        architecture    = group.architecture
        labels          = group.labels
        taints          = group.taints
        permissions     = sort(tolist(group.permissions))
      },
      group.autoscaled ? {
        scaling_group    = module.node_group[name].scaling_group_name
        bundle_parameter = module.artifacts.bundle_parameters[name].name
        token_parameter  = module.artifacts.token_parameters[name].name
      } : {},
    ) }
  }
}

output "cluster" {
  description = "What site.yml needs to know: API, ingress, registry, buckets, queue, and for each group its labels, taints, permissions and the parameters of its node bundle and token. docs/aws.md describes it."
  value       = local.cluster
}

output "inventory" {
  description = "Machines that Ansible manages, with their variables and groups. inventories/aws finds the same by tags; scripts/terraform_inventory.py reads this output."
  value = {
    hosts = { for name, machine in local.machines : name => {
      group = local.groups[machine.group].inventory_group
      role  = local.groups[machine.group].server ? "server" : "agent"
      variables = {
        ansible_host      = machine.public_ip != "" ? machine.public_ip : machine.instance_id
        ansible_user      = var.ssh_user
        availability_zone = machine.zone
        instance_id       = machine.instance_id
        instance_type     = machine.instance_type
        node_group        = machine.group
        private_ip        = machine.private_ip
        provider_id       = "aws:///${machine.zone}/${machine.instance_id}"
        public_ip         = machine.public_ip
        region            = var.region
      }
    } }
  }
}

output "policies" {
  description = "Reason and document of each IAM policy, by name."
  value       = module.identity.policies
}

output "permissions" {
  description = "Names of the IAM policies by group."
  value       = module.identity.permissions
}

output "tenant_push_policies" {
  description = "By tenant: JSON of a policy that lets it pull and push below its own path of the functions' repositories, and nowhere else."
  value       = module.identity.tenant_push_policies
}
