variable "name" {
  description = "Name of the cluster, prefix of all names."
  type        = string
}

variable "scope" {
  description = "Partition, region and account of the ARNs in the policies."
  type        = object({ partition = string, region = string, account = string })
}

variable "groups" {
  description = "By node group: names of its permissions, and ARNs of what an autoscaled group's machines join with (null: Ansible joins them)."
  type = map(object({
    permissions = set(string)
    join = optional(object({
      parameter_arns = list(string)
      bundles_arn    = string
    }))
  }))
}

variable "session_manager" {
  description = "Whether administrators reach the machines by Systems Manager."
  type        = bool
}

variable "snapshots_bucket_arn" {
  description = "ARN of the bucket of etcd snapshots."
  type        = string
}

variable "telemetry_bucket_arns" {
  description = "ARNs of the buckets of logs and traces."
  type        = list(string)
}

variable "interruption_queue_arn" {
  description = "ARN of the queue of the termination handler."
  type        = string
}

variable "function_repository_prefix" {
  description = "Prefix of the names of the functions' repositories."
  type        = string
}

variable "tenants" {
  description = "Tenants that push their own functions."
  type        = set(string)
  default     = []
}

variable "mirror_prefixes" {
  description = "Prefixes of the repositories that mirror other registries."
  type        = set(string)
}

variable "hosted_zone_ids" {
  description = "Route 53 zones for `dns_challenge`."
  type        = set(string)
}

variable "token_key_arn" {
  description = "KMS key of the join tokens; null for the account's aws/ssm key, which needs no permission of its own."
  type        = string
  default     = null
}
