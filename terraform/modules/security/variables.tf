variable "name" {
  description = "Prefix of the names."
  type        = string
}

variable "vpc_id" {
  description = "Id of the VPC."
  type        = string
}

variable "admin_cidrs" {
  description = "Networks that may reach SSH and the Kubernetes API of the machines."
  type        = list(string)

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : !contains(["0.0.0.0/0", "::/0"], cidr)])
    error_message = "admin_cidrs must not hold the whole internet."
  }
}

variable "ingress_cidrs" {
  description = "Networks that may reach the public load balancer."
  type        = list(string)
}

variable "cni" {
  description = "`vxlan`, `wireguard-native` or `cilium`."
  type        = string

  validation {
    condition     = contains(["vxlan", "wireguard-native", "cilium"], var.cni)
    error_message = "cni must be vxlan, wireguard-native or cilium."
  }
}

variable "ingress_health_port" {
  description = "Port on which the public load balancer checks the machines of the ingress."
  type        = number
  default     = 8080
  nullable    = false
}
