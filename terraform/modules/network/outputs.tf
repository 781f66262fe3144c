output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Id of the public subnet by zone."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "node_subnet_ids" {
  description = "Id of the subnet of the machines by zone: the private one if there is one."
  value       = { for zone, subnet in(var.private ? aws_subnet.private : aws_subnet.public) : zone => subnet.id }
}
