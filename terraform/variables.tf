# Validations use variables only, so that `make cost` can read them with `terraform console` and without a provider.

variable "cluster_name" {
  description = "Name of the cluster: prefix of all names, and value of the tag `wasmfaas:cluster`. Two clusters in one account need different names."
  type        = string
  default     = "wasmfaas"
  nullable    = false

  validation {
    # Names of load balancers and target groups have up to 32 characters; the longest suffix here is "-ingress-https".
    condition     = can(regex("^[a-z][a-z0-9-]{0,17}[a-z0-9]$", var.cluster_name))
    error_message = "cluster_name must have 2 to 19 lower-case letters, digits and dashes, begin with a letter and not end with a dash."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of a region, such as us-east-1, not of a zone."
  }
}

variable "tags" {
  description = "Tags for all resources, in addition to the tags of this module."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([for key in keys(var.tags) :
      !startswith(key, "aws:") && !startswith(key, "wasmfaas:") && !startswith(key, "kubernetes.io/")
    ])
    error_message = "tags must not begin with aws:, wasmfaas: or kubernetes.io/, which AWS, this module and the cloud controller use."
  }
}

# --- Network ----------------------------------------------------------------------------------------------------------

variable "network_cidr" {
  description = "IPv4 network of the VPC."
  type        = string
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.network_cidr, 0)) && can(regex("/(1[6-9]|20)$", var.network_cidr))
    error_message = "network_cidr must be an IPv4 network of /16 to /20."
  }

  validation {
    # k3s: pods 10.42.0.0/16, services 10.43.0.0/16.
    condition     = !can(regex("^10\\.4[23]\\.", var.network_cidr))
    error_message = "network_cidr must not overlap 10.42.0.0/16 and 10.43.0.0/16, the addresses that k3s gives to pods and services."
  }
}

variable "availability_zones" {
  description = "Zones to use. Empty: the first `zone_count` zones of the region that offer the preferred instance type of every group."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for zone in var.availability_zones : startswith(zone, var.region)])
    error_message = "availability_zones must be zones of the region."
  }

  validation {
    condition = (
      length(distinct(var.availability_zones)) == length(var.availability_zones)
      && length(var.availability_zones) <= 6
    )
    error_message = "availability_zones must be up to six different zones."
  }
}

variable "zone_count" {
  description = "Number of zones if `availability_zones` is empty."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.zone_count >= 1 && var.zone_count <= 6 && floor(var.zone_count) == var.zone_count
    error_message = "zone_count must be a whole number from 1 to 6."
  }
}

variable "private_nodes" {
  description = "Put the machines into private subnets behind NAT, and reach them by AWS Systems Manager instead of by public addresses. docs/aws.md says what this costs."
  type        = bool
  default     = false
  nullable    = false
}

variable "nat_gateway_per_zone" {
  description = "With `private_nodes`: have one NAT gateway in each zone, so that the loss of a zone cuts off no other zone; otherwise one for all zones."
  type        = bool
  default     = false
  nullable    = false
}

variable "admin_cidrs" {
  description = "Networks that may reach SSH (22) and the Kubernetes API (6443) of the machines. Empty: nobody."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrhost(cidr, 0))])
    error_message = "admin_cidrs must be networks such as 198.51.100.7/32."
  }

  validation {
    # Comparing with 0.0.0.0/0 is not enough: 0.0.0.0/1 and 128.0.0.0/1 together are the whole internet too.
    condition = alltrue([for cidr in var.admin_cidrs :
      tonumber(try(split("/", cidr)[1], "0")) >= (strcontains(cidr, ":") ? 32 : 8)
    ])
    error_message = "admin_cidrs must not be open to the internet: IPv4 networks of /8 or smaller, IPv6 of /32 or smaller."
  }
}

variable "ingress_cidrs" {
  description = "Networks that may reach the functions, on ports 80 and 443 of the public load balancer."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition = (
      length(var.ingress_cidrs) > 0
      && alltrue([for cidr in var.ingress_cidrs : can(cidrhost(cidr, 0)) && !strcontains(cidr, ":")])
    )
    error_message = "ingress_cidrs must be one or more IPv4 networks."
  }
}

variable "cni" {
  description = "Network of the pods, which decides the ports that are open between machines: `vxlan` or `wireguard-native` (flannel), or `cilium`."
  type        = string
  default     = "vxlan"
  nullable    = false

  validation {
    condition     = contains(["vxlan", "wireguard-native", "cilium"], var.cni)
    error_message = "cni must be vxlan, wireguard-native or cilium."
  }
}

variable "api_endpoint" {
  description = "What stands before the servers on port 6443: `load_balancer` (private NLB with health checks) or `dns` (a private name with the addresses of all servers; cheaper, and clients try the next address themselves)."
  type        = string
  default     = "load_balancer"
  nullable    = false

  validation {
    condition     = contains(["load_balancer", "dns"], var.api_endpoint)
    error_message = "api_endpoint must be load_balancer or dns."
  }
}

# --- Machines ---------------------------------------------------------------------------------------------------------

variable "ssh_public_key" {
  description = "Public key for SSH, in the format of authorized_keys. Null: no key; then Systems Manager is the way in."
  type        = string
  default     = null

  validation {
    # A whole key (RFC 8709, section 4; RFC 4253, section 6.6), since EC2 accepts parts of one and machines then let
    # nobody in.
    condition = var.ssh_public_key == null || can(regex(
      "^(ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}|ssh-rsa AAAAB3NzaC1yc2E[A-Za-z0-9+/]{190,}={0,2})([ \\t].*)?\\s*$",
      var.ssh_public_key,
    ))
    error_message = "ssh_public_key must be a whole ssh-ed25519 or ssh-rsa public key, the line in ~/.ssh/id_ed25519.pub; EC2 takes no other kinds."
  }
}

variable "ssh_user" {
  description = "User of the machine image: ec2-user on Amazon Linux, admin on Debian, ubuntu on Ubuntu."
  type        = string
  default     = "ec2-user"
  nullable    = false
}

variable "image_parameters" {
  description = "Public SSM parameter with the id of the machine image, by architecture."
  type        = map(string)
  default = {
    arm64 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    amd64 = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
  }
  nullable = false

  validation {
    condition     = alltrue([for name in values(var.image_parameters) : startswith(name, "/aws/service/")])
    error_message = "image_parameters must name public parameters, which begin with /aws/service/."
  }
}

variable "root_device_name" {
  description = "Name of the root volume in the machine image: /dev/xvda on Amazon Linux and Debian, /dev/sda1 on Ubuntu."
  type        = string
  default     = "/dev/xvda"
  nullable    = false

  validation {
    condition     = startswith(var.root_device_name, "/dev/")
    error_message = "root_device_name must be a device such as /dev/xvda."
  }
}

variable "node_groups" {
  description = <<-EOT
    Node groups, by name. Labels, taints, tags for the autoscaler, inventory groups and costs are all made from this
    map. `server`: the machines run k3s server (exactly one group). `autoscaled`: a scaling group whose machines join
    without Ansible; otherwise Ansible manages `size` machines that keep their names, addresses and volumes. `spot`:
    interruptible machines, at a third to a half of the price. `instance_types`: types of one size, the preferred one
    first. `minimum`, `maximum`: number of machines of an autoscaled group. `zones`: number of zones that the group
    spreads over (null: all). `data_volume_gib`: size of a volume for /var/lib/rancher that outlives the machine (12 or
    more; 0: none). `ingress`: the machines take the traffic of the public load balancer. `permissions`: see
    modules/identity. `metadata_hop_limit`: 1 keeps pods away from the role of the machine.
  EOT
  type = map(object({
    server             = optional(bool, false)
    autoscaled         = optional(bool, true)
    spot               = optional(bool, false)
    architecture       = optional(string, "arm64")
    instance_types     = list(string)
    size               = optional(number, 0)
    minimum            = optional(number, 0)
    maximum            = optional(number, 0)
    zones              = optional(number)
    root_volume_gib    = optional(number, 20)
    data_volume_gib    = optional(number, 0)
    image_id           = optional(string)
    labels             = optional(map(string), {})
    taints             = optional(list(object({ key = string, value = string, effect = string })), [])
    ingress            = optional(bool, false)
    permissions        = optional(set(string), ["registry_pull"])
    metadata_hop_limit = optional(number, 2)
  }))
  nullable = false

  default = {
    control-plane = {
      server          = true
      autoscaled      = false
      instance_types  = ["t4g.medium"]
      size            = 3
      data_volume_gib = 16
      permissions = [
        "registry_pull",
        "snapshots",
        "cloud_controller",
        "ebs_csi",
        "cluster_autoscaler",
        "termination_handler",
      ]
    }
    observability = {
      autoscaled      = false
      instance_types  = ["t4g.large"]
      size            = 2
      data_volume_gib = 50
      ingress         = true
      permissions     = ["registry_pull", "dns_challenge", "telemetry"]
    }
    worker-wasm = {
      spot            = true
      instance_types  = ["t4g.xlarge", "m6g.xlarge", "m7g.xlarge"]
      minimum         = 0
      maximum         = 5
      root_volume_gib = 30
      # The RuntimeClasses of the role wasm_shims select this label and tolerate this taint.
      labels = { "wasmfaas.dev/runtime-spin" = "true" }
      taints = [{ key = "wasmfaas.dev/only", value = "wasm", effect = "NoSchedule" }]
      # Code of tenants runs here and on worker-build.
      metadata_hop_limit = 1
    }
    worker-build = {
      spot            = true
      instance_types  = ["c7g.xlarge", "c6g.xlarge", "c6gn.xlarge", "c8g.xlarge"]
      minimum         = 1
      maximum         = 3
      root_volume_gib = 50
      taints          = [{ key = "wasmfaas.dev/build", value = "true", effect = "NoSchedule" }]
      # Without registry_push: a build would have the rights of all tenants. Who pushes has credentials of its own.
      metadata_hop_limit = 1
    }
    worker-backend = {
      spot           = true
      instance_types = ["t4g.medium", "c6g.large", "c7g.large"]
      minimum        = 1
      maximum        = 3
      # The hosted service runs here and pushes functions. Code of tenants does not.
      permissions = ["registry_pull", "registry_push"]
    }
  }

  validation {
    condition = alltrue([for name in keys(var.node_groups) :
      can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", name)) && length(name) <= 20
    ])
    error_message = "node_groups: names must have up to 20 lower-case letters and digits, in words joined by dashes."
  }

  validation {
    condition     = length([for group in var.node_groups : group if group.server]) == 1
    error_message = "node_groups: exactly one group must have server = true."
  }

  validation {
    condition     = alltrue([for group in var.node_groups : !group.autoscaled && !group.spot if group.server])
    error_message = "node_groups: servers hold etcd, so their group cannot be autoscaled or spot."
  }

  validation {
    # etcd needs a majority: 2 servers tolerate no more failures than 1, 4 no more than 3.
    condition     = alltrue([for group in var.node_groups : contains([1, 3, 5, 7], group.size) if group.server])
    error_message = "node_groups: the group of the servers must have 1, 3, 5 or 7 machines: an even number tolerates no more failures than one less."
  }

  validation {
    condition = alltrue([for group in var.node_groups :
      group.autoscaled ? group.size == 0 && group.minimum >= 0 && group.maximum >= 1 && group.minimum <= group.maximum
      : group.size >= 1 && group.minimum == 0 && group.maximum == 0
    ])
    error_message = "node_groups: autoscaled groups need maximum >= 1 and minimum from 0 to maximum, all others size >= 1; no group has both."
  }

  validation {
    condition = alltrue([for group in var.node_groups :
      floor(group.size) == group.size && floor(group.minimum) == group.minimum && floor(group.maximum) == group.maximum
    ])
    error_message = "node_groups: size, minimum and maximum must be whole numbers."
  }

  validation {
    condition     = alltrue([for group in var.node_groups : group.autoscaled if group.spot])
    error_message = "node_groups: EC2 takes spot machines at two minutes' notice, so spot groups must be autoscaled."
  }

  validation {
    condition = alltrue([for group in var.node_groups :
      length(distinct(group.instance_types)) >= (group.spot ? 3 : 1)
    ])
    error_message = "node_groups: each group needs an instance type, a spot group three or more, so that one sold-out type does not stop it."
  }

  validation {
    condition     = alltrue([for group in var.node_groups : contains(["arm64", "amd64"], group.architecture)])
    error_message = "node_groups: architecture must be arm64 or amd64."
  }

  validation {
    # Graviton families have a g right after their generation: t4g, c7gn, im4gn.
    condition = alltrue(flatten([for group in var.node_groups : [for type in group.instance_types :
      can(regex("^[a-z]+[0-9]+[a-z]*\\.[a-z0-9-]+$", type))
      && can(regex("^[a-z]+[0-9]+g[a-z]*\\.", type)) == (group.architecture == "arm64")
    ]]))
    error_message = "node_groups: an instance type is misspelt or does not have the group's architecture (arm64: t4g, m7g, c7g, …; amd64: t3, m7i, c7a, …)."
  }

  validation {
    # The kubelet may not set these on itself (NodeRestriction), so a node with such a label never registers.
    condition = alltrue(flatten([for group in var.node_groups : [for key, value in group.labels :
      !can(regex("(^|\\.)(kubernetes|k8s)\\.io/", key))
      && can(regex("^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$", key))
      && can(regex("^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$", value))
    ]]))
    error_message = "node_groups: labels must be valid for Kubernetes and must not be of kubernetes.io or k8s.io, which a node cannot give itself."
  }

  validation {
    condition = alltrue(flatten([for group in var.node_groups : [for taint in group.taints :
      contains(["NoSchedule", "PreferNoSchedule", "NoExecute"], taint.effect)
      && can(regex("^[A-Za-z0-9./_-]+$", taint.key))
      && can(regex("^[A-Za-z0-9._-]*$", taint.value))
    ]]))
    error_message = "node_groups: a taint is {key, value, effect}, with the effect NoSchedule, PreferNoSchedule or NoExecute."
  }

  validation {
    condition = alltrue(flatten([for group in var.node_groups : [for name in group.permissions : contains([
      "registry_pull",
      "registry_push",
      "snapshots",
      "cloud_controller",
      "ebs_csi",
      "cluster_autoscaler",
      "termination_handler",
      "load_balancer_controller",
      "dns_challenge",
      "telemetry",
    ], name)]]))
    error_message = "node_groups: permissions must be of registry_pull, registry_push, snapshots, cloud_controller, ebs_csi, cluster_autoscaler, termination_handler, load_balancer_controller, dns_challenge, telemetry."
  }

  validation {
    condition     = alltrue([for group in var.node_groups : contains(group.permissions, "registry_pull")])
    error_message = "node_groups: permissions of each group must include registry_pull: its nodes pull functions and the platform's images from ECR."
  }

  validation {
    condition = alltrue([for group in var.node_groups :
      group.metadata_hop_limit >= 1 && group.metadata_hop_limit <= 2
    ])
    error_message = "node_groups: metadata_hop_limit must be 2 (pods may use the role of the machine) or 1 (they cannot)."
  }

  validation {
    condition = alltrue([for group in var.node_groups :
      group.root_volume_gib >= 10 && group.data_volume_gib >= 0 && (group.data_volume_gib == 0 || !group.autoscaled)
    ])
    error_message = "node_groups: root_volume_gib must be 10 or more; data_volume_gib is only for groups that are not autoscaled, whose machines keep their volumes."
  }

  validation {
    # site.yml needs 10 GiB free below /var/lib/rancher (k3s_minimum_disk_gib). An empty ext4 offers 7 % less than its
    # volume; a root volume also holds the system. tests/terraform/test_minimums.py compares both with the plan.
    condition = alltrue([for group in var.node_groups :
      group.data_volume_gib > 0 ? group.data_volume_gib >= 12 : group.root_volume_gib >= 14
    ])
    error_message = "node_groups: the volume with /var/lib/rancher is too small for k3s and its images, and site.yml would refuse the machines: data_volume_gib must be 12 or more, or without a data volume root_volume_gib 14 or more."
  }

  validation {
    condition     = anytrue([for group in var.node_groups : group.ingress])
    error_message = "node_groups: at least one group needs ingress = true, or no request reaches a function."
  }

  validation {
    condition     = alltrue([for group in var.node_groups : group.zones == null ? true : group.zones >= 1])
    error_message = "node_groups: zones must be 1 or more, or null for all."
  }
}

variable "node_group_changes" {
  description = "Changes of `node_groups`, by name of the group: {worker-wasm = {maximum = 10}} keeps all else of that group and all other groups."
  type = map(object({
    instance_types  = optional(list(string))
    size            = optional(number)
    minimum         = optional(number)
    maximum         = optional(number)
    root_volume_gib = optional(number)
    data_volume_gib = optional(number)
  }))
  default  = {}
  nullable = false

  validation {
    condition = alltrue(flatten([for group in var.node_group_changes : [for value in [
      group.size, group.minimum, group.maximum, group.root_volume_gib, group.data_volume_gib,
    ] : value >= 0 && floor(value) == value if value != null]]))
    error_message = "node_group_changes: size, minimum, maximum, root_volume_gib and data_volume_gib must be whole numbers."
  }
}

# Here, so that `make cost` reads it without a provider. main.tf checks what was changed: a validation cannot look at
# both variables.
locals {
  node_groups = { for name, group in var.node_groups : name => merge(group, {
    for key, value in try(var.node_group_changes[name], {}) : key => value if value != null
  }) }
}

variable "join_seconds" {
  description = "Seconds for which a machine of an autoscaled group waits for its node bundle, its token and a working agent. Then it gives up and is replaced."
  type        = number
  default     = 1800
  nullable    = false

  validation {
    condition     = var.join_seconds >= 60 && var.join_seconds <= 7200
    error_message = "join_seconds must be from 60 to 7200."
  }
}

# --- Storage, images, names -------------------------------------------------------------------------------------------

variable "functions" {
  description = "Functions whose image repositories Terraform makes, with lifecycle rules. `deploy-function.yml` makes missing repositories without such rules, and `terraform destroy` does not delete those."
  type        = set(string)
  default     = ["hello-python"]
  nullable    = false

  validation {
    condition     = alltrue([for name in var.functions : can(regex("^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$", name))])
    error_message = "functions must be names of functions: up to 52 lower-case letters, digits and dashes."
  }
}

variable "tenants" {
  description = "Tenants that push their own functions. The output `tenant_push_policies` has a policy for each, for the role or user that you give it."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.tenants : can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", name))])
    error_message = "tenants must be names of tenants: a letter, then up to 62 lower-case letters, digits and dashes."
  }
}

variable "pull_through_cache" {
  description = "Registries that ECR mirrors, by prefix of the repositories. `secret_arn`: Secrets Manager secret named ecr-pullthroughcache/…, which Docker Hub and ghcr.io need."
  type = map(object({
    upstream   = string
    secret_arn = optional(string)
  }))
  default = {
    ecr-public = { upstream = "public.ecr.aws" }
    kubernetes = { upstream = "registry.k8s.io" }
    quay       = { upstream = "quay.io" }
  }
  nullable = false

  validation {
    condition     = alltrue([for prefix in keys(var.pull_through_cache) : can(regex("^[a-z][a-z0-9-]{1,29}$", prefix))])
    error_message = "pull_through_cache: prefixes must have 2 to 30 lower-case letters, digits and dashes."
  }

  validation {
    condition = alltrue([for rule in var.pull_through_cache :
      !contains(["registry-1.docker.io", "ghcr.io"], rule.upstream) || rule.secret_arn != null
    ])
    error_message = "pull_through_cache: registry-1.docker.io and ghcr.io need secret_arn, because ECR only mirrors them with a login."
  }
}

variable "hosted_zone_ids" {
  description = "Ids of public Route 53 zones in which the permission `dns_challenge` may write TXT records, for wildcard certificates."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.hosted_zone_ids : can(regex("^Z[A-Z0-9]+$", id))])
    error_message = "hosted_zone_ids must be ids such as Z0123456789ABCDEFGHIJ."
  }
}

variable "snapshot_days" {
  description = "Days for which an etcd snapshot that k3s has deleted can still be restored."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.snapshot_days >= 1
    error_message = "snapshot_days must be 1 or more."
  }
}

variable "destroy_snapshots" {
  description = "Let `terraform destroy` delete the etcd snapshots; otherwise it deletes all else and stops at their bucket. Apply a changed value before the destroy."
  type        = bool
  default     = false
  nullable    = false
}

variable "token_key_arn" {
  description = "ARN of the KMS key that encrypts the join tokens. Null: the account's aws/ssm key, which is free."
  type        = string
  default     = null

  validation {
    condition     = var.token_key_arn == null || can(regex("^arn:[a-z-]+:kms:", var.token_key_arn))
    error_message = "token_key_arn must be the ARN of a KMS key."
  }
}

variable "deletion_protection" {
  description = "Let nobody end a server or delete a load balancer, in the console or by the API, before this is set to false and applied. `terraform destroy` needs that too."
  type        = bool
  default     = false
  nullable    = false
}

variable "flow_logs" {
  description = "Connections of the VPC to log in the bucket `audit`: `REJECT`, `ACCEPT` or `ALL`. Null: none."
  type        = string
  default     = null

  validation {
    condition     = var.flow_logs == null ? true : contains(["REJECT", "ACCEPT", "ALL"], var.flow_logs)
    error_message = "flow_logs must be REJECT, ACCEPT, ALL or null."
  }
}

variable "access_logs" {
  description = "Log each request for etcd snapshots and node bundles, which hold secrets, in the bucket `audit`."
  type        = bool
  default     = false
  nullable    = false
}

variable "audit_days" {
  description = "Days for which flow logs and access logs are kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.audit_days >= 1
    error_message = "audit_days must be 1 or more."
  }
}
