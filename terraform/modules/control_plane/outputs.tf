output "machines" {
  description = "By name of the server: instance_id, instance_type, zone, private_ip, public_ip, data_volume_id."
  value       = { for number, machine in module.machine : "${var.name}-${number}" => machine }
}
