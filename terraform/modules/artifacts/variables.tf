variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "bucket_prefix" {
  description = "Prefix of the buckets' names. Bucket names must be unique in all of AWS."
  type        = string
}

variable "autoscaled_groups" {
  description = "Names of the autoscaled groups."
  type        = set(string)
}

variable "snapshot_days" {
  description = "Days for which a deleted etcd snapshot can be restored."
  type        = number
}

variable "destroy_snapshots" {
  description = "Whether `terraform destroy` deletes etcd snapshots."
  type        = bool
}

variable "token_key_arn" {
  description = "KMS key of the tokens; null for the account's aws/ssm key."
  type        = string
  default     = null
}
