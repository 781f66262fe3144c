variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "cidr" {
  description = "IPv4 network of the VPC; each subnet gets a sixteenth of it."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0))
    error_message = "cidr must be an IPv4 network."
  }
}

variable "zones" {
  description = "Zones, in the order of their subnets' numbers."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 6
    error_message = "zones must be one to six zones."
  }
}

variable "private" {
  description = "Whether the machines are in private subnets behind NAT."
  type        = bool
}

variable "nat_gateway_per_zone" {
  description = "Whether each zone has a NAT gateway of its own."
  type        = bool
  default     = false
}
