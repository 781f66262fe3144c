variable "prefix" {
  description = "What the names of the functions' repositories begin with."
  type        = string
}

variable "functions" {
  description = "Names of functions."
  type        = set(string)
}

variable "kept_versions" {
  description = "Versions of a function that are kept. One that runs must be among them, or its nodes can't pull it again."
  type        = number
  default     = 50

  validation {
    condition     = var.kept_versions >= 2
    error_message = "kept_versions must be 2 or more: the one that runs, and the one to go back to."
  }
}

variable "pull_through_cache" {
  description = "Registries to mirror, by the prefix of the repositories."
  type = map(object({
    upstream   = string
    secret_arn = optional(string)
  }))
}
