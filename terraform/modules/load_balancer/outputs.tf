output "dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.this.dns_name
}

output "addresses" {
  description = "Elastic IP by zone; empty for a private load balancer."
  value       = { for zone, address in aws_eip.this : zone => address.public_ip }
}

output "target_group_arns" {
  description = "ARN of the target group by short name of the port."
  value       = { for name, group in aws_lb_target_group.this : name => group.arn }
}
