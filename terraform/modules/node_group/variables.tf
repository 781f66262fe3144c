variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "group" {
  description = "Name of the group."
  type        = string
}

variable "image_id" {
  description = "Id of the machine image."
  type        = string
}

variable "instance_types" {
  description = "Instance types of one size, the preferred one first. While the group is empty, the autoscaler computes with the first one."
  type        = list(string)

  validation {
    condition = (
      length(var.instance_types) >= 1
      && length(distinct(var.instance_types)) == length(var.instance_types)
    )
    error_message = "instance_types must be one or more different types."
  }
}

variable "spot" {
  description = "Whether all machines are spot machines; otherwise all are on demand."
  type        = bool
}

variable "minimum" {
  description = "Fewest machines, and the number at first."
  type        = number
}

variable "maximum" {
  description = "Most machines."
  type        = number
}

variable "subnet_ids" {
  description = "Ids of the subnets, one in each zone that the group spreads over."
  type        = list(string)
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
  description = "Whether the machines have public addresses."
  type        = bool
}

variable "root_device_name" {
  description = "Name of the root volume in the machine image."
  type        = string
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB."
  type        = number
}

variable "metadata_hop_limit" {
  description = "1 keeps pods away from the metadata service, and so from the role of the machine; 2 lets pods use it."
  type        = number
}

variable "target_group_arns" {
  description = "Target groups in which the machines are registered."
  type        = list(string)
}

variable "labels" {
  description = "Labels of the nodes."
  type        = map(string)
}

variable "taints" {
  description = "Taints of the nodes."
  type        = list(object({ key = string, value = string, effect = string }))
}

variable "join" {
  description = "What a machine joins with: bucket of the node bundle, names of the parameters, URL of the API, and how long it tries, in seconds."
  type = object({
    bucket           = string
    bundle_parameter = string
    token_parameter  = string
    server           = string
    seconds          = number
  })
}

variable "tags" {
  description = "Tags of the machines, their volumes and interfaces."
  type        = map(string)
}
