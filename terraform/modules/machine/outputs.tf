output "instance_id" {
  description = "Id of the instance, another one after a replacement."
  value       = aws_instance.this.id
}

output "instance_type" {
  description = "Instance type as it is."
  value       = aws_instance.this.instance_type
}

output "zone" {
  description = "Zone that the machine and its volume are in."
  value       = var.zone
}

output "private_ip" {
  description = "Private address, kept over a replacement."
  value       = aws_network_interface.this.private_ip
}

output "public_ip" {
  description = "Public address, kept over a replacement; empty if there is none."
  value       = one(aws_eip.this[*].public_ip) == null ? "" : one(aws_eip.this[*].public_ip)
}

output "data_volume_id" {
  description = "Id of the data volume, kept over a replacement; null if there is none."
  value       = one(aws_ebs_volume.data[*].id)
}
