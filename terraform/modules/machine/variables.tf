variable "name" {
  description = "Name of the machine, in AWS, in the inventory and in Kubernetes."
  type        = string
}

variable "image_id" {
  description = "Machine image. A changed one takes effect when the machine is replaced, not before."
  type        = string
}

variable "instance_type" {
  description = "Instance type. A changed one takes effect when the machine is replaced, not before."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of the machine, in the zone of its volume."
  type        = string
}

variable "zone" {
  description = "Zone of the subnet."
  type        = string
}

variable "security_group_ids" {
  description = "Ids of the security groups."
  type        = list(string)
}

variable "instance_profile_name" {
  description = "Name of the instance profile, which gives the machine its role."
  type        = string
}

variable "key_name" {
  description = "Key pair for SSH; null for none."
  type        = string
  default     = null
}

variable "public_address" {
  description = "Whether the machine has an Elastic IP."
  type        = bool
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB."
  type        = number
}

variable "data_volume_gib" {
  description = "Size in GiB of the volume for /var/lib/rancher, which outlives the machine; 0 for none."
  type        = number
}

variable "metadata_hop_limit" {
  description = "1 keeps pods away from the metadata service, and so from the role of the machine; 2 lets pods use it."
  type        = number
}

variable "target_group_arns" {
  description = "Target groups in which the machine is registered; the keys are free."
  type        = map(string)
}

variable "tags" {
  description = "Tags of the machine."
  type        = map(string)
}

variable "deletion_protection" {
  description = "Whether AWS refuses to terminate the instance."
  type        = bool
  default     = false
}
