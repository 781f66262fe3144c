output "group_ids" {
  description = "Ids of the security groups: `nodes` for all machines, beside it `servers` and `ingress` (machines behind the public load balancer); `public_load_balancer`, `api_load_balancer`."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
