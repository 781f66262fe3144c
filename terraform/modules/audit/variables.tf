variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket for the logs."
  type        = string
}

variable "scope" {
  description = "Where the logs come from: the bucket takes them from no other account."
  type        = object({ partition = string, account = string })
}

variable "vpc_id" {
  description = "VPC whose connections are logged."
  type        = string
}

variable "flow_logs" {
  description = "Which connections are logged: ACCEPT, REJECT or ALL. Null: none."
  type        = string
  default     = null
}

variable "access_log_buckets" {
  description = "Buckets by short name whose requests are logged."
  type        = map(string)
}

variable "days" {
  description = "Days after which a log is deleted."
  type        = number
}
