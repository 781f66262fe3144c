variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "bucket_prefix" {
  description = "What the names of the buckets begin with; together with their suffixes unique in all of AWS."
  type        = string
}

variable "elastic_groups" {
  description = "Names of the groups whose machines join by themselves."
  type        = set(string)
}

variable "snapshot_days" {
  description = "Days that deleted etcd snapshots can be brought back."
  type        = number
}

variable "destroy_snapshots" {
  description = "Whether `terraform destroy` deletes etcd snapshots."
  type        = bool
}

variable "token_key_arn" {
  description = "KMS key of the tokens; null for the account's aws/ssm."
  type        = string
  default     = null
}
