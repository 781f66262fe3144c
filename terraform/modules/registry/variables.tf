variable "prefix" {
  description = "Prefix of the names of the functions' repositories."
  type        = string
}

variable "functions" {
  description = "Names of functions."
  type        = set(string)
}

variable "kept_versions" {
  description = "Number of versions of a function that are kept. Nodes cannot pull a running version again once it is deleted."
  type        = number
  default     = 50

  validation {
    condition     = var.kept_versions >= 2
    error_message = "kept_versions must be 2 or more: the version that runs, and one to roll back to."
  }
}

variable "pull_through_cache" {
  description = "Registries to mirror, by the prefix of the repositories."
  type = map(object({
    upstream   = string
    secret_arn = optional(string)
  }))
}
