variable "name" {
  description = "Prefix of the machines' names."
  type        = string
}

variable "size" {
  description = "Number of servers; an odd number, because etcd needs a majority."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7], var.size)
    error_message = "size must be 1, 3, 5 or 7: an even number of servers tolerates no more failures than one less."
  }
}

variable "subnets" {
  description = "Zones and their subnets; the servers are spread over them in this order."
  type        = list(object({ zone = string, id = string }))

  validation {
    condition     = length(var.subnets) >= 1
    error_message = "subnets must not be empty."
  }
}

variable "machine" {
  description = "What all servers have in common; see modules/machine."
  type = object({
    image_id              = string
    instance_type         = string
    security_group_ids    = list(string)
    instance_profile_name = string
    key_name              = optional(string)
    public_address        = bool
    root_volume_gib       = number
    data_volume_gib       = number
    metadata_hop_limit    = number
    target_group_arns     = map(string)
    deletion_protection   = optional(bool, false)
    tags                  = map(string)
  })
}
