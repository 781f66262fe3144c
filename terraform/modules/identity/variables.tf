variable "name" {
  description = "Name of the cluster, prefix of all names."
  type        = string
}

variable "scope" {
  description = "Where the ARNs in the policies are: partition, region, account."
  type        = object({ partition = string, region = string, account = string })
}

variable "groups" {
  description = "By node group: names of its permissions, and what its machines join with (null: Ansible joins them)."
  type = map(object({
    permissions = set(string)
    join = optional(object({
      parameter_arns = list(string)
      bundles_arn    = string
    }))
  }))
}

variable "session_manager" {
  description = "Whether machines are reached by Systems Manager."
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
  description = "What the names of the functions' repositories begin with."
  type        = string
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
  description = "KMS key of the join tokens; null for the account's aws/ssm, whose own policy lets SSM use it."
  type        = string
  default     = null
}
