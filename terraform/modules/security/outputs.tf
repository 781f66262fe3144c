output "group_ids" {
  description = "Ids of the security groups `nodes` (all machines), `servers`, `ingress` (machines behind the public load balancer), `public_load_balancer` and `api_load_balancer`."
  value       = { for name, group in aws_security_group.this : name => group.id }
}
