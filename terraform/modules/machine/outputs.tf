output "instance_id" {
  description = "Id of the instance; a replacement has another one."
  value       = aws_instance.this.id
}

output "instance_type" {
  description = "Live instance type."
  value       = aws_instance.this.instance_type
}

output "zone" {
  description = "Zone of the machine and its volume."
  value       = var.zone
}

output "private_ip" {
  description = "Private address; a replacement keeps it."
  value       = aws_network_interface.this.private_ip
}

output "public_ip" {
  description = "Public address; a replacement keeps it. Empty if there is none."
  value       = one(aws_eip.this[*].public_ip) == null ? "" : one(aws_eip.this[*].public_ip)
}

output "data_volume_id" {
  description = "Id of the data volume; a replacement keeps it. Null if there is none."
  value       = one(aws_ebs_volume.data[*].id)
}
