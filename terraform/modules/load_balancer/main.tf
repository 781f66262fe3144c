resource "aws_eip" "this" {
  for_each = var.public ? var.subnet_ids : {}

  domain = "vpc"

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = "network"
  internal           = !var.public
  security_groups    = [var.security_group_id]

  enable_deletion_protection = var.deletion_protection

  # A name that stands for one address (nip.io) must not depend on the targets of one zone.
  enable_cross_zone_load_balancing = true

  dynamic "subnet_mapping" {
    for_each = var.subnet_ids

    content {
      subnet_id     = subnet_mapping.value
      allocation_id = var.public ? aws_eip.this[subnet_mapping.key].id : null
    }
  }

  tags = { Name = var.name }
}

resource "aws_lb_target_group" "this" {
  for_each = var.ports

  name                 = "${var.name}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "instance" # pods have no addresses of the VPC
  protocol             = "TCP"
  port                 = each.value.port
  preserve_client_ip   = tostring(each.value.preserve_client_address)
  deregistration_delay = 30

  health_check {
    protocol            = each.value.check.protocol
    port                = each.value.check.port
    path                = each.value.check.path
    matcher             = each.value.check.matcher
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_lb_listener" "this" {
  for_each = var.ports

  load_balancer_arn = aws_lb.this.arn
  protocol          = "TCP"
  port              = each.value.port

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }

  tags = { Name = "${var.name}-${each.key}" }
}
