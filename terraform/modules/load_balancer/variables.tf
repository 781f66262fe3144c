variable "name" {
  description = "Name of the load balancer, prefix of its target groups' names."
  type        = string

  validation {
    condition     = length(var.name) <= 27
    error_message = "name must have 27 characters or less, as target groups add a dash and the name of the port."
  }
}

variable "vpc_id" {
  description = "Id of the VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Id of the subnet by zone."
  type        = map(string)
}

variable "security_group_id" {
  description = "Security group. AWS allows no security group to be added later to a load balancer that was made without one."
  type        = string
}

variable "public" {
  description = "Whether the load balancer has an Elastic IP in each zone; otherwise only the VPC reaches it."
  type        = bool
}

variable "ports" {
  description = "Ports by short name. `preserve_client_address`: targets see the client's address. `check`: health check."
  type = map(object({
    port                    = number
    preserve_client_address = bool
    check = object({
      protocol = string
      port     = optional(string, "traffic-port")
      path     = optional(string)
      matcher  = optional(string)
    })
  }))

  validation {
    condition = alltrue([for port in var.ports :
      contains(["TCP", "HTTP", "HTTPS"], port.check.protocol)
      && (port.check.protocol == "TCP") == (port.check.path == null)
    ])
    error_message = "ports: a check is TCP without a path, or HTTP or HTTPS with one."
  }
}

variable "deletion_protection" {
  description = "Whether AWS refuses to delete the load balancer."
  type        = bool
  default     = false
}
