module "machine" {
  source = "../machine"
  for_each = { for number in range(1, var.size + 1) :
    tostring(number) => var.subnets[(number - 1) % length(var.subnets)]
  }

  name                  = "${var.name}-${each.key}"
  zone                  = each.value.zone
  subnet_id             = each.value.id
  image_id              = var.machine.image_id
  instance_type         = var.machine.instance_type
  security_group_ids    = var.machine.security_group_ids
  instance_profile_name = var.machine.instance_profile_name
  key_name              = var.machine.key_name
  public_address        = var.machine.public_address
  root_volume_gib       = var.machine.root_volume_gib
  data_volume_gib       = var.machine.data_volume_gib
  metadata_hop_limit    = var.machine.metadata_hop_limit
  target_group_arns     = var.machine.target_group_arns
  deletion_protection   = var.machine.deletion_protection
  tags                  = var.machine.tags
}
