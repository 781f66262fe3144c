locals {
  full_name = "${var.name}-${var.group}"

  # The labels and taints of the nodes, and those that the autoscaler is told, come from the same two variables.
  user_data = templatefile("${path.module}/files/user_data.sh.tftpl", {
    program = file("${path.module}/files/join_cluster.py")
    configuration = jsonencode({
      cluster          = var.name
      group            = var.group
      bucket           = var.join.bucket
      bundle_parameter = var.join.bundle_parameter
      token_parameter  = var.join.token_parameter
      server           = var.join.server
      seconds          = var.join.seconds
      labels           = var.labels
      taints           = [for taint in var.taints : "${taint.key}=${taint.value}:${taint.effect}"]
    })
  })

  # https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/cloudprovider/aws/README.md
  autoscaler_tags = merge(
    {
      "k8s.io/cluster-autoscaler/enabled"     = "true"
      "k8s.io/cluster-autoscaler/${var.name}" = "owned"
      # What pods may use: the root volume less 15 % for the system.
      "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage" = "${floor(var.root_volume_gib * 0.85)}Gi"
    },
    { for key, value in var.labels : "k8s.io/cluster-autoscaler/node-template/label/${key}" => value },
    { for taint in var.taints :
      "k8s.io/cluster-autoscaler/node-template/taint/${taint.key}" => "${taint.value}:${taint.effect}"
    },
  )
}

resource "aws_launch_template" "this" {
  name                   = local.full_name
  description            = "Machines of ${var.group}"
  image_id               = var.image_id
  instance_type          = var.instance_types[0]
  key_name               = var.key_name
  user_data              = base64encode(local.user_data)
  update_default_version = true

  iam_instance_profile {
    name = var.instance_profile_name
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = tostring(var.public_address)
    security_groups             = var.security_group_ids
    delete_on_termination       = "true"
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.metadata_hop_limit
    # With tags in the metadata service, keys of tags must not hold "/", but the cloud controller needs
    # kubernetes.io/cluster/….
    instance_metadata_tags = "disabled"
  }

  # Host names are made from the instance's id, so a new node never has the name, and thus the node password, of an old
  # one.
  private_dns_name_options {
    hostname_type = "resource-name"
  }

  # The default of burstable types, unlimited, bills surplus credits.
  dynamic "credit_specification" {
    for_each = anytrue([for type in var.instance_types : startswith(type, "t")]) ? ["standard"] : []

    content {
      cpu_credits = credit_specification.value
    }
  }

  block_device_mappings {
    device_name = var.root_device_name

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  dynamic "tag_specifications" {
    for_each = ["volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = local.full_name })
    }
  }

  tags = { Name = local.full_name }

  lifecycle {
    precondition {
      condition     = length(local.user_data) <= 16384
      error_message = "The user data of ${var.group} is larger than the 16 KiB that EC2 accepts. Give the group fewer or shorter labels."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                = local.full_name
  min_size            = var.minimum
  max_size            = var.maximum
  desired_capacity    = var.minimum
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = var.target_group_arns

  # Machines can join only after site.yml has made the cluster, which happens later.
  wait_for_capacity_timeout = "0"
  # Starts a new machine before EC2 takes the old one.
  capacity_rebalance = var.spot
  # AZRebalance would terminate working nodes to even out the zones. The autoscaler balances the zones without that.
  suspended_processes = ["AZRebalance"]

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = var.spot ? 0 : 100
      on_demand_allocation_strategy            = "prioritized"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this.id
        version            = aws_launch_template.this.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = local.full_name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  dynamic "tag" {
    for_each = local.autoscaler_tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity] # the autoscaler sets it
  }
}

# Delays a termination until the termination handler has drained the node, at most five minutes.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  name                   = "drain"
  autoscaling_group_name = aws_autoscaling_group.this.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = 300
  default_result         = "CONTINUE"

  lifecycle {
    # Never set, because the notice goes over EventBridge. The moto server of the tests answers with values of its own.
    ignore_changes = [notification_target_arn, role_arn]
  }
}
