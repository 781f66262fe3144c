output "node_group_id" {
  description = "Security group of all machines."
  value       = aws_security_group.nodes.id
}

output "server_group_id" {
  description = "Security group of the servers, beside that of all machines."
  value       = aws_security_group.servers.id
}

output "ingress_group_id" {
  description = "Security group of the machines behind the public load balancer, beside that of all machines."
  value       = aws_security_group.ingress.id
}

output "public_load_balancer_group_id" {
  description = "Security group of the public load balancer."
  value       = aws_security_group.public_load_balancer.id
}

output "api_load_balancer_group_id" {
  description = "Security group of the private load balancer of the API."
  value       = aws_security_group.api_load_balancer.id
}
