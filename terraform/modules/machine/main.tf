# One machine that keeps its name, address and data volume when its instance is replaced.
# An apply never replaces it by itself. Replace one at a time:
#   terraform apply -replace='module.control_plane.module.machine["1"].aws_instance.this'

resource "aws_network_interface" "this" {
  subnet_id       = var.subnet_id
  security_groups = var.security_group_ids
  description     = var.name

  tags = { Name = var.name }
}

resource "aws_eip" "this" {
  count = var.public_address ? 1 : 0

  domain            = "vpc"
  network_interface = aws_network_interface.this.id

  tags = { Name = var.name }
}

resource "aws_ebs_volume" "data" {
  count = var.data_volume_gib > 0 ? 1 : 0

  availability_zone = var.zone
  size              = var.data_volume_gib
  type              = "gp3"
  encrypted         = true

  tags = { Name = "${var.name}-data" }
}

resource "aws_instance" "this" {
  ami                  = var.image_id
  instance_type        = var.instance_type
  availability_zone    = var.zone
  key_name             = var.key_name
  iam_instance_profile = var.instance_profile_name

  disable_api_termination = var.deletion_protection

  user_data = (
    var.data_volume_gib == 0
    ? null
    : templatefile("${path.module}/files/mount_data_volume.sh.tftpl", { volume_id = aws_ebs_volume.data[0].id })
  )

  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.this.id
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.metadata_hop_limit
    # With tags in the metadata service, keys of tags must not hold "/", but the cloud controller needs
    # kubernetes.io/cluster/….
    instance_metadata_tags = "disabled"
  }

  # The default of burstable types, unlimited, bills surplus credits.
  credit_specification {
    cpu_credits = "standard"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.root_volume_gib
    encrypted   = true
    tags        = merge(var.tags, { Name = "${var.name}-root" })
  }

  tags = merge(var.tags, { Name = var.name })

  lifecycle {
    # A new image, type or script must not stop several servers in one apply. A machine takes it when it is replaced.
    ignore_changes = [ami, instance_type, user_data]
  }
}

resource "aws_volume_attachment" "data" {
  count = var.data_volume_gib > 0 ? 1 : 0

  device_name = "/dev/sdf"
  volume_id   = aws_ebs_volume.data[0].id
  instance_id = aws_instance.this.id
  # Shuts etcd down properly before its disk is detached.
  stop_instance_before_detaching = true
}

resource "aws_lb_target_group_attachment" "this" {
  for_each = var.target_group_arns

  target_group_arn = each.value
  target_id        = aws_instance.this.id
}
