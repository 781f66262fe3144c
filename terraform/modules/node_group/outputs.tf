output "scaling_group_name" {
  description = "Name of the scaling group."
  value       = aws_autoscaling_group.this.name
}

output "user_data" {
  description = "What a machine runs at its first boot. Holds no secret."
  value       = local.user_data
}
